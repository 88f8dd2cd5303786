// Renders /openapi.json: a list of operations by resource, each with its parameters, body and answers.
'use strict';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
let spec;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

function resolve(node) {
  for (let hops = 0; node && node.$ref && hops < 8; hops += 1) {
    node = node.$ref.slice(2).split('/').reduce((at, key) => at && at[key], spec);
  }
  return node || {};
}

function refName(node) {
  return node && node.$ref ? node.$ref.split('/').pop() : undefined;
}

function typeOf(schema) {
  if (schema.$ref) return refName(schema);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const options = schema.oneOf || schema.anyOf;
  if (options) return options.map(typeOf).join(' | ');
  const types = [].concat(schema.type || 'any');
  const words = types.map((type) => (type === 'array' ? `array of ${typeOf(schema.items || {})}` : type));
  return words.join(' | ') + (schema.format ? ` (${schema.format})` : '');
}

function bounds(schema) {
  const words = [];
  if (schema.minimum !== undefined) words.push(`≥ ${schema.minimum}`);
  if (schema.maximum !== undefined) words.push(`≤ ${schema.maximum}`);
  if (schema.maxLength !== undefined) words.push(`at most ${schema.maxLength} characters`);
  if (schema.maxItems !== undefined) words.push(`at most ${schema.maxItems} items`);
  if (schema.pattern) words.push(schema.pattern);
  return words.length ? ` ${words.join(', ')}` : '';
}

// What a schema holds, one level unless opened: nested schemas are drawn when asked for.
function draw(node, seen = []) {
  const name = refName(node);
  const schema = resolve(node);
  if (name && seen.includes(name)) return make('span', { class: 'dim' }, name);
  const path = name ? [...seen, name] : seen;
  if (schema.enum) {
    const list = make('ul', { class: 'schema' });
    for (const value of schema.enum) list.append(make('li', {}, make('code', {}, JSON.stringify(value))));
    return list;
  }
  const inner = (schema.oneOf || schema.anyOf || schema.allOf || []).find((option) => option.type !== 'null');
  if (inner) return draw(inner, path);
  if (schema.items) return draw(schema.items, path);
  if (!schema.properties) return make('span', { class: 'dim' }, schema.description || typeOf(schema));
  const list = make('ul', { class: 'schema' });
  for (const [field, child] of Object.entries(schema.properties)) {
    const needed = (schema.required || []).includes(field) ? 'needed' : '';
    const words = child.description || resolve(child).description || '';
    const line = [
      make('code', { class: needed }, field), ' ',
      make('span', { class: 'dim' }, typeOf(child) + bounds(child)), ' ', words,
    ];
    const target = [child, child.items, ...(child.oneOf || []), ...(child.anyOf || [])].find((option) => refName(option));
    if (!target) {
      list.append(make('li', {}, ...line));
      continue;
    }
    const nested = make('details', {}, make('summary', {}, ...line));
    nested.addEventListener('toggle', () => {
      if (nested.open && nested.children.length === 1) nested.append(draw(target, path));
    });
    list.append(make('li', {}, nested));
  }
  return list;
}

function content(holder) {
  return Object.entries(holder.content || {}).map(([type, media]) => make('div', {},
    make('div', {}, make('code', {}, type), ' ', make('span', { class: 'dim' }, media.schema ? typeOf(media.schema) : '')),
    media.schema ? draw(media.schema) : undefined));
}

function parameters(operation) {
  if (!(operation.parameters || []).length) return [];
  const table = make('table');
  for (const each of operation.parameters.map(resolve)) {
    const schema = each.schema || {};
    table.append(make('tr', {},
      make('td', {}, make('code', { class: each.required ? 'needed' : '' }, each.name), ' ', make('span', { class: 'dim' }, each.in)),
      make('td', { class: 'dim' }, typeOf(schema) + bounds(schema)),
      make('td', {}, each.description || '')));
  }
  return [make('h4', {}, 'Parameters'), table];
}

function answers(operation) {
  const parts = [make('h4', {}, 'Answers')];
  for (const [status, given] of Object.entries(operation.responses || {})) {
    const answer = resolve(given);
    const headers = Object.keys(answer.headers || {});
    const line = make('summary', {}, make('code', {}, status), ' ', answer.description || '',
      headers.length ? make('span', { class: 'dim' }, `  headers: ${headers.join(', ')}`) : undefined);
    const inner = content(answer);
    parts.push(inner.length ? make('details', {}, line, ...inner) : make('div', {}, line.textContent));
  }
  return parts;
}

function drawOperation(path, method, operation) {
  const box = make('details', { class: 'operation', id: operation.operationId },
    make('summary', {},
      make('span', { class: `verb ${method}` }, method),
      make('span', { class: 'path' }, path),
      make('span', { class: 'dim' }, operation.summary || '')));
  box.dataset.words = `${method} ${path} ${operation.summary || ''}`.toLowerCase();
  box.addEventListener('toggle', () => {
    if (!box.open || box.children.length > 1) return;
    const body = make('div', {});
    if (operation.description) body.append(make('p', {}, operation.description));
    body.append(...parameters(operation));
    if (operation.requestBody) body.append(make('h4', {}, 'Body'), ...content(resolve(operation.requestBody)));
    body.append(...answers(operation));
    box.append(body);
  });
  return box;
}

function drawAll() {
  document.getElementById('version').textContent = spec.info.version;
  const byTag = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((each) => item[each])) {
      const tag = (item[method].tags || ['other'])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(drawOperation(path, method, item[method]));
    }
  }
  const main = document.getElementById('operations');
  const nav = document.getElementById('tags');
  main.replaceChildren(make('pre', {}, spec.info.description || ''));
  for (const [tag, boxes] of byTag) {
    nav.append(make('a', { href: `#tag-${tag}` }, tag));
    main.append(make('section', {}, make('h2', { id: `tag-${tag}` }, tag), ...boxes));
  }
}

function filter(words) {
  for (const box of document.querySelectorAll('details.operation')) box.hidden = !box.dataset.words.includes(words);
  for (const section of document.querySelectorAll('section')) {
    section.hidden = !section.querySelector('details.operation:not([hidden])');
  }
}

document.getElementById('filter').addEventListener('input', (event) => filter(event.target.value.trim().toLowerCase()));
fetch('/openapi.json').then((answer) => answer.json()).then((read) => { spec = read; drawAll(); })
  .catch((error) => { document.getElementById('operations').textContent = `Could not load /openapi.json: ${error}`; });
