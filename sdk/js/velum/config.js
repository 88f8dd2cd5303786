/** The configuration is refused; the words say what to change. */
export class Refused extends Error {}

/** A policy's configuration: the fields of the JSON object that an operator wrote, by name. */
export class Config {
  #fields;
  #read = new Set();

  constructor(text) {
    let fields;
    try {
      fields = text.trim() === "" ? {} : JSON.parse(text);
    } catch (error) {
      throw new Refused(`not a JSON object: ${error.message}`);
    }
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) throw new Refused("not a JSON object");
    this.#fields = new Map(Object.entries(fields));
  }

  #get(name, byDefault) {
    this.#read.add(name);
    return this.#fields.get(name) ?? byDefault;
  }

  /** A whole number from `least` to `most`, or the default. */
  integer(name, least, most, byDefault) {
    const value = this.#get(name, byDefault);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Refused(`'${name}' must be a whole number from ${least} to ${most}`);
    }
    return value;
  }

  /** A text, or the default. */
  text(name, byDefault) {
    const value = this.#get(name, byDefault);
    if (typeof value !== "string") throw new Refused(`'${name}' must be a text`);
    return value;
  }

  /** Yes or no, or the default. */
  flag(name, byDefault) {
    const value = this.#get(name, byDefault);
    if (typeof value !== "boolean") throw new Refused(`'${name}' must be true or false`);
    return value;
  }

  /** Refuses a field that nobody asked for. The library calls it after `configure`. */
  finish() {
    for (const name of this.#fields.keys()) {
      if (!this.#read.has(name)) throw new Refused(`'${name}' is not known here`);
    }
  }
}
