// What the page computes, without the page: tests run this file in Node.
"use strict";

// Bytes of a record as arrays; see `encoded` in explorer.py.
function decode(blob, record) {
  const { nodes, panels, points, correlations } = record;
  let at = record.at;
  const floats = (count) => {
    const part = new Float32Array(blob.slice(at, at + 4 * count).buffer);
    at += 4 * count;
    return part;
  };
  const edges = floats(nodes * (panels + 1));
  const moments = floats(nodes * 4);
  const rows = (count, length, scale) => {
    const total = count * length;
    const low = blob.subarray(at, at + total);
    const high = blob.subarray(at + total, at + 2 * total);
    at += 2 * total;
    const values = new Float64Array(total);
    for (let row = 0, i = 0; row < count; row++) {
      let sum = 0; // differences along a row, modulo 2^16
      for (let j = 0; j < length; j++, i++) {
        sum = (sum + low[i] + 256 * high[i]) & 0xffff;
        const whole = sum > 0x7fff ? sum - 0x10000 : sum;
        values[i] = whole === -32768 ? NaN : whole * scale(row);
      }
    }
    return values;
  };
  const curves = rows(nodes * 3 * panels, points, (row) => record.scales[Math.floor(row / panels) % 3]);
  const cMap = rows(nodes, correlations, () => 1 / 32000);
  return { edges, moments, curves, cMap };
}

// Where a value lies on an axis: two places among its values, and the share of the second.
function placed(axis, value, snap) {
  const values = axis.values;
  if (axis.scale === "choice") {
    const same = values.indexOf(value);
    return [Math.max(same, 0), Math.max(same, 0), 0];
  }
  const onScale = axis.scale === "log" ? Math.log : (v) => v;
  let left = 0;
  while (left < values.length - 2 && values[left + 1] <= value) left++;
  const [a, b] = [onScale(values[left]), onScale(values[left + 1])];
  let share = Math.min(1, Math.max(0, (onScale(value) - a) / (b - a)));
  if (snap) share = Math.round(share);
  return [left, left + 1, share];
}

// Nodes of the grid around the values, with weights that sum to one.
function corners(record, values) {
  let found = [[0, 1]];
  record.axes.forEach((axis, i) => {
    const [left, right, share] = placed(axis, values[i], record.snap);
    const next = [];
    for (const [node, weight] of found) {
      const size = axis.values.length;
      if (share < 1) next.push([node * size + left, weight * (1 - share)]);
      if (share > 0) next.push([node * size + right, weight * share]);
    }
    found = next;
  });
  return found;
}

function mixed(array, offset, stride, near) {
  let sum = 0;
  for (const [node, weight] of near) sum += weight * array[node * stride + offset];
  return sum;
}

// f, f′ and f″ as lines, and the moments; nulls where the activation refuses the values.
function evaluated(record, data, values) {
  const { panels, points, correlations } = record;
  const near = corners(record, values);
  const mean = mixed(data.moments, 0, 4, near);
  if (Number.isNaN(mean)) return null;
  const second = mixed(data.moments, 1, 4, near);
  const x = [];
  for (let p = 0; p < panels; p++) {
    const left = mixed(data.edges, p, panels + 1, near);
    const width = mixed(data.edges, p + 1, panels + 1, near) - left;
    for (let i = 0; i < points; i++) x.push(left + (width * i) / (points - 1));
  }
  const size = panels * points;
  const curves = [0, 1, 2].map((order) => {
    const line = { x: [], y: [] };
    for (let i = 0; i < size; i++) {
      const y = mixed(data.curves, order * size + i, 3 * size, near);
      const before = line.y[line.y.length - 1];
      if (i && i % points === 0 && Math.abs(y - before) > 0.02) {
        line.x.push(x[i]); // a jump: the line is cut
        line.y.push(NaN);
      }
      line.x.push(x[i]);
      line.y.push(y);
    }
    return line;
  });
  const cMap = { x: [], y: [] };
  for (let i = 0; i < correlations; i++) {
    cMap.x.push((2 * i) / (correlations - 1) - 1);
    cMap.y.push(mixed(data.cMap, i, correlations, near));
  }
  const moments = {
    mean,
    variance: Math.max(0, second - mean * mean),
    gain: second > 0 ? 1 / Math.sqrt(second) : Infinity,
    "C′(0)": mixed(data.moments, 2, 4, near),
    "C′(1)": mixed(data.moments, 3, 4, near),
  };
  return { curves, cMap, moments };
}

// A line's value at a place, on straight lines between its points; NaN outside of it.
function valueAt(line, x) {
  const n = line.x.length;
  for (let i = 0; i < n - 1; i++) {
    if (line.x[i] <= x && x <= line.x[i + 1] && line.x[i] < line.x[i + 1]) {
      const share = (x - line.x[i]) / (line.x[i + 1] - line.x[i]);
      return line.y[i] + share * (line.y[i + 1] - line.y[i]);
    }
  }
  return NaN;
}

// Entries of which a name, an alias or the words around them contain the text; names first.
function searched(entries, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return entries.slice();
  const rank = (entry) => {
    const named = [entry.name, ...entry.aliases].map((name) => name.toLowerCase());
    if (named.includes(wanted)) return 0;
    if (named.some((name) => name.startsWith(wanted))) return 1;
    if (named.some((name) => name.includes(wanted))) return 2;
    return `${entry.summary} ${entry.source}`.toLowerCase().includes(wanted) ? 3 : 4;
  };
  const ranked = entries.map((entry) => [rank(entry), entry]).filter(([r]) => r < 4);
  return ranked.sort((a, b) => a[0] - b[0]).map(([, entry]) => entry);
}

// The language of `flaxact list --where`: a tree, or an Error with what is wrong.
const NUMBER = /^(?:0[xX](?:_?[\da-fA-F])+|(?:\d(?:_?\d)*)?\.?(?:\d(?:_?\d)*)?(?:[eE][+-]?\d(?:_?\d)*)?)/;

function tokens(text) {
  const found = [];
  let rest = text.trim();
  while (rest) {
    const number = NUMBER.exec(rest)[0];
    const numeric = /^\.?\d/.test(number);
    const other = /^(?:[A-Za-z_]\w*|<=|>=|==|!=|[<>()-])/.exec(rest);
    const token = numeric ? number : other && other[0];
    if (!token || (numeric && /^[\w.]/.test(rest.slice(token.length)))) throw new Error();
    found.push(token);
    rest = rest.slice(token.length).trimStart();
  }
  return found;
}

function parseCondition(text, yesOrNo, numbers) {
  const example = "only facts, numbers, and, or, not, and comparisons, as in 'monotonic and mean < 0.1'";
  try {
    const list = tokens(text);
    let at = 0;
    const several = (word, inner) => () => {
      const parts = [inner()];
      while (list[at] === word) {
        at++;
        parts.push(inner());
      }
      return parts.length === 1 ? parts[0] : { kind: word, parts };
    };
    const not = () => {
      if (list[at] !== "not") return comparison();
      at++;
      return { kind: "not", parts: [not()] };
    };
    const comparison = () => {
      const sides = [operand()];
      const signs = [];
      while (/^(?:[<>]=?|[=!]=)$/.test(list[at] || "")) {
        signs.push(list[at++]);
        sides.push(operand());
      }
      return signs.length ? { kind: "compare", signs, parts: sides } : sides[0];
    };
    const operand = () => {
      const token = list[at++];
      if (token === "-") return { kind: "minus", parts: [operand()] };
      if (token === "(") {
        const inner = condition();
        if (list[at++] !== ")") throw new Error();
        return inner;
      }
      if (token !== undefined && /^\.?\d/.test(token)) {
        return { kind: "number", value: Number(token.replaceAll("_", "")) };
      }
      if (!token || !/^[A-Za-z_]/.test(token) || /^(?:and|or|not|is|in|if|else|lambda|True|False|None)$/.test(token)) throw new Error();
      return { kind: "name", name: token };
    };
    const condition = several("or", several("and", not));
    const tree = condition();
    if (at < list.length || !allowed(tree, false, yesOrNo, numbers)) throw new Error();
    return tree;
  } catch (error) {
    throw error.message ? error : new Error(`cannot read '${text}': ${example}`);
  }
}

function allowed(tree, number, yesOrNo, numbers) {
  const all = (asNumber) => tree.parts.every((part) => allowed(part, asNumber, yesOrNo, numbers));
  switch (tree.kind) {
    case "number":
      return number;
    case "minus":
      return number && all(true);
    case "compare":
      return !number && all(true);
    case "name":
      if (tree.name === "inf") return number;
      if ((number ? numbers : yesOrNo).includes(tree.name)) return true;
      throw new Error(wrongFact(tree.name, yesOrNo, numbers));
    default:
      return !number && all(false);
  }
}

function wrongFact(name, yesOrNo, numbers) {
  if (numbers.includes(name)) return `${name} is a number: compare it, as in '${name} < 0.1'`;
  if (yesOrNo.includes(name)) {
    return `${name} is yes or no, not a number: it stands alone, as in 'not ${name}'`;
  }
  return `unknown fact '${name}'; there are: ${[...yesOrNo, ...numbers].join(", ")}`;
}

const COMPARISONS = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

// The value of a condition for the facts of an entry; null where it is unknown.
function holds(tree, facts) {
  const values = () => tree.parts.map((part) => holds(part, facts));
  switch (tree.kind) {
    case "number":
      return tree.value;
    case "name":
      return tree.name === "inf" ? Infinity : facts[tree.name];
    case "minus": {
      const [value] = values();
      return value === null ? null : -value;
    }
    case "not": {
      const [value] = values();
      return value === null ? null : !value;
    }
    case "compare": {
      const sides = values();
      if (sides.includes(null)) return null;
      return tree.signs.every((sign, i) => COMPARISONS[sign](sides[i], sides[i + 1]));
    }
    default: {
      const decisive = tree.kind === "or";
      const sides = values();
      if (sides.includes(decisive)) return decisive;
      return sides.includes(null) ? null : !decisive;
    }
  }
}

// Numbers that JSON lacks are texts in it.
function asFact(value) {
  return { inf: Infinity, "-inf": -Infinity, nan: NaN }[value] ?? value;
}

// Spec text of an activation with these values, without those that are the defaults.
function specText(entry, values) {
  const axes = entry.record ? entry.record.axes : [];
  const changed = axes
    .map((axis, i) => [axis.name, values[i], axis.values[axis.default]])
    .filter(([, value, usual]) => value !== usual)
    .map(([name, value]) => `${name}=${asPython(value)}`);
  return entry.name + (changed.length ? `(${changed.join(", ")})` : "");
}

function asPython(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? `'${value}'` : String(value);
}

function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const text = Math.abs(value) < 1e-9 ? "0" : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

if (typeof module !== "undefined") {
  module.exports = {
    asFact, corners, decode, evaluated, holds, parseCondition, searched, shown, specText, valueAt,
  };
}
