/** Scores at and above this refuse: the low 16 bits are a code. */
export const REFUSE = 0xffff0000;

/** The best score there is; larger ones count as this. */
export const BEST = REFUSE - 1;

export const UNDECLARED = 0xffff;
const NO_NUMBER = 0xfffe;

/** Refusals that the library gives, in words. */
export const OWN_WORDS = [
  [UNDECLARED, "the policy reads a column, attribute or fact that it does not declare"],
  [NO_NUMBER, "the policy's score is not a whole number"],
];

/** A refusal by one of the policy's own codes, 0 to 65533, put in words by `Declaration.refusal`. */
export function refuse(code) {
  if (!Number.isInteger(code) || code < 0 || code >= NO_NUMBER) {
    throw new RangeError(`a refusal code is 0 to ${NO_NUMBER - 1}, not ${code}`);
  }
  return REFUSE + code;
}

/** A score as the server takes it. */
export function travelling(score) {
  if (!Number.isInteger(score)) return REFUSE + NO_NUMBER;
  if (score < 0) return 0;
  return score > 0xffffffff ? BEST : score;
}
