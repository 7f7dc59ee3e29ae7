// The page: the catalogue on one side, an activation on the other.
"use strict";

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const entries = data.entries;
for (const entry of entries) {
  for (const name of Object.keys(entry.facts)) entry.facts[name] = asFact(entry.facts[name]);
  for (const name of Object.keys(entry.cells)) entry.cells[name] = asFact(entry.cells[name]);
}
const byName = new Map(entries.map((entry) => [entry.name, entry]));
// Told apart with any color vision, at 3:1 or more from the background.
const COLORS = {
  light: ["#0072B2", "#C24E00", "#00795A", "#A3407F", "#7A6200", "#4B4FBF"],
  dark: ["#56B4E9", "#FF9048", "#2FC79A", "#E58CC2", "#E3C543", "#A5A8FF"],
};
const ORDERS = ["f", "f′", "f″"];

const state = {
  entry: entries[0],
  values: [],
  kept: [], // of the overlay: an entry and its values
  sort: { column: "name", down: false },
  listed: entries,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
};
let blob;
let models;
const decoded = new Map();

function defaults(entry) {
  return entry.record ? entry.record.axes.map((axis) => axis.values[axis.default]) : [];
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function dataOf(entry) {
  if (!decoded.has(entry.name)) decoded.set(entry.name, decode(blob, entry.record));
  return decoded.get(entry.name);
}

// What is drawn: the activation that is looked at, then those of the overlay.
function drawn() {
  const current = { entry: state.entry, values: state.values };
  return [current, ...state.kept].flatMap(({ entry, values }) => {
    const found = entry.record && evaluated(entry.record, dataOf(entry), values);
    return found ? [{ name: specText(entry, values), ...found }] : [];
  });
}

// --- The catalogue ---

function drawTable() {
  const head = $("table").tHead;
  head.replaceChildren(element("tr"));
  for (const column of ["name", ...data.columns.map((c) => c.name)]) {
    const { down } = state.sort;
    const sorted = state.sort.column === column;
    const title = column === "name" ? "" : data.columns.find((c) => c.name === column).title;
    const button = element("button", { type: "button", title });
    button.textContent = column + (sorted ? (down ? " ▼" : " ▲") : "");
    button.addEventListener("click", () => sortBy(column));
    const cell = element("th", { scope: "col" }, button);
    cell.dataset.column = column;
    cell.setAttribute("aria-sort", sorted ? (down ? "descending" : "ascending") : "none");
    head.rows[0].append(cell);
  }
  $("table").tBodies[0].replaceChildren(...sortedEntries().map(row));
  const total = entries.length;
  $("count").textContent = `${state.listed.length} of ${total} activations`;
}

function row(entry) {
  const first = element("td", {}, entry.name);
  if (entry.aliases.length) first.append(" ", element("small", {}, entry.aliases.join(", ")));
  const made = element("tr", { tabIndex: -1 }, first);
  made.dataset.name = entry.name;
  for (const column of data.columns) {
    made.append(element("td", {}, shown(entry.cells[column.name])));
  }
  made.setAttribute("aria-current", String(entry === state.entry));
  if (entry === state.entry) made.tabIndex = 0;
  return made;
}

function sortedEntries() {
  const { column, down } = state.sort;
  if (column === "name") return down ? state.listed.slice().reverse() : state.listed;
  const value = (entry) => entry.cells[column];
  const known = (entry) => typeof value(entry) === "number" && !Number.isNaN(value(entry));
  const there = state.listed.filter(known);
  const order = (a, b) => (value(a) === value(b) ? 0 : value(a) < value(b) ? -1 : 1);
  there.sort((a, b) => (down ? order(b, a) : order(a, b)));
  return [...there, ...state.listed.filter((entry) => !known(entry))]; // what is unknown comes last
}

function sortBy(column) {
  const same = state.sort.column === column;
  state.sort = { column, down: same && !state.sort.down };
  drawTable();
  document.querySelector(`th[data-column="${CSS.escape(column)}"] button`).focus();
}

function filter() {
  const text = $("where").value.trim();
  let found = searched(entries, $("search").value);
  let wrong = "";
  if (text) {
    try {
      const tree = parseCondition(text, data.yes_or_no, data.numbers);
      found = found.filter((entry) => holds(tree, entry.facts) === true);
    } catch (error) {
      wrong = error.message;
    }
  }
  $("where").setAttribute("aria-invalid", String(Boolean(wrong)));
  $("where-error").textContent = wrong;
  state.listed = found;
  drawTable();
  ensureFocusable();
}

function ensureFocusable() {
  const rows = [...$("table").tBodies[0].rows];
  if (rows.length && !rows.some((r) => r.tabIndex === 0)) rows[0].tabIndex = 0;
}

function onRowKey(event) {
  const current = event.target.closest("tbody tr");
  if (!current) return;
  const rows = [...current.parentNode.rows];
  const place = rows.indexOf(current);
  const last = rows.length - 1;
  const moves = {
    ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: last, PageDown: place + 10, PageUp: place - 10,
  };
  if (event.key in moves) {
    const next = rows[Math.min(last, Math.max(0, moves[event.key]))];
    current.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    select(current.dataset.name);
  } else if (event.key === "o") {
    keep(byName.get(current.dataset.name));
  } else {
    return;
  }
  event.preventDefault();
}

// --- One activation ---

function select(name, values) {
  state.entry = byName.get(name);
  state.values = values || defaults(state.entry);
  for (const one of $("table").tBodies[0].rows) {
    const same = one.dataset.name === name;
    one.setAttribute("aria-current", String(same));
    one.tabIndex = same ? 0 : -1;
  }
  ensureFocusable();
  const { entry } = state;
  const called = entry.aliases.length ? ` (${entry.aliases.join(", ")})` : "";
  $("name").textContent = entry.name + called;
  $("summary").textContent = entry.summary;
  $("formula").innerHTML = entry.formula; // MathML, made at build time
  $("reason").hidden = !entry.reason;
  $("reason").textContent = entry.reason;
  $("curves").hidden = !entry.record;
  $("note-part").hidden = !entry.note;
  $("note").textContent = entry.note;
  $("source-part").hidden = !entry.source;
  $("source").textContent = entry.source;
  $("bibtex").textContent = entry.bibtex;
  const rows = Object.entries(entry.shown).map(([k, v]) =>
    element("tr", {}, element("td", {}, k), element("td", {}, v)));
  $("facts").tBodies[0].replaceChildren(...rows);
  drawSliders();
  update();
}

function drawSliders() {
  const { entry } = state;
  const axes = entry.record ? entry.record.axes : [];
  $("sliders").replaceChildren(...axes.map((axis, i) => (axis.scale === "choice" ? choice : slider)(axis, i)));
  const said = [];
  const between = axes.some((axis) => axis.scale !== "choice");
  if (entry.record && entry.record.snap) {
    said.push("The curves change too fast to interpolate: the sliders move between computed values.");
  } else if (between) {
    said.push(`Computed at ${entry.record.nodes} points, interpolated between: f to within ${entry.record.error.toPrecision(1)} at the points tried.`);
  }
  if (entry.record && entry.record.fixed.length) {
    said.push(`At its default: ${entry.record.fixed.join(", ")}.`);
  }
  $("accuracy").textContent = said.join(" ");
}

// A slider has 60 places between neighbouring values of the axis, or none.
function slider(axis, i) {
  const steps = state.entry.record.snap ? 1 : 60;
  const last = axis.values.length - 1;
  const value = (place) => {
    const left = Math.min(Math.floor(place / steps), last - 1);
    const share = place / steps - left;
    const [a, b] = [axis.values[left], axis.values[left + 1]];
    if (share === 0 || share === 1) return share ? b : a;
    return Number((axis.scale === "log" ? a * (b / a) ** share : a + (b - a) * share).toPrecision(4));
  };
  const output = element("output", { id: `value-${axis.name}` });
  const input = element("input", { type: "range", min: 0, max: last * steps, step: 1, id: `slider-${axis.name}` });
  let closest = axis.default * steps;
  for (let place = 0; place <= last * steps; place++) {
    if (Math.abs(value(place) - state.values[i]) < Math.abs(value(closest) - state.values[i])) closest = place;
  }
  input.value = closest;
  const show = () => {
    output.textContent = shown(state.values[i]);
    input.setAttribute("aria-valuetext", shown(state.values[i]));
  };
  input.addEventListener("input", () => {
    state.values[i] = value(Number(input.value));
    show();
    later();
  });
  show();
  return element("label", { className: "slider" }, element("span", {}, axis.name), input, output);
}

function choice(axis, i) {
  const input = element("select", { id: `slider-${axis.name}` });
  axis.values.forEach((v, place) => input.append(element("option", { value: place }, asPython(v))));
  input.value = axis.values.indexOf(state.values[i]);
  input.addEventListener("change", () => {
    state.values[i] = axis.values[Number(input.value)];
    update();
  });
  return element("label", { className: "slider" }, element("span", {}, axis.name), input);
}

let waiting = false;
function later() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update();
  });
}

function update() {
  const { entry, values } = state;
  const spec = specText(entry, values);
  const text = spec.replaceAll('"', '\\"');
  $("code").textContent = `import flaxact as fa\n\nf = fa.get("${text}")\ny = f(x)`;
  const hash = [`${spec}`, ...state.kept.map((k) => specText(k.entry, k.values))].join(";");
  history.replaceState(null, "", `#${encodeURIComponent(hash)}`);
  drawOverlay();
  if (models) drawCurves();
}

// --- The overlay ---

function keep(entry, values) {
  if (!entry.record) return;
  const one = { entry, values: (values || defaults(entry)).slice() };
  const spec = specText(entry, one.values);
  if (!state.kept.some((k) => specText(k.entry, k.values) === spec)) state.kept.push(one);
  update();
}

function drawOverlay() {
  const colors = palette();
  const offset = state.entry.record ? 1 : 0;
  $("overlay").replaceChildren(...state.kept.map((one, i) => {
    const spec = specText(one.entry, one.values);
    const button = element("button", { type: "button" }, `${spec} ×`);
    button.setAttribute("aria-label", `Remove ${spec} from the overlay`);
    button.style.borderColor = colors[(i + offset) % colors.length];
    button.addEventListener("click", () => {
      state.kept.splice(i, 1);
      update();
      $("keep").focus();
    });
    return element("li", {}, button);
  }));
}

// --- Plots ---

function palette() {
  return COLORS[state.dark ? "dark" : "light"];
}

function drawCurves() {
  const colors = palette();
  const all = drawn();
  const current = state.entry.record && evaluated(state.entry.record, dataOf(state.entry), state.values);
  $("reason").hidden = !(state.entry.reason || (state.entry.record && !current));
  $("reason").textContent = state.entry.reason || `${state.entry.name} refuses these values together.`;
  let [low, high, least, most] = [Infinity, -Infinity, 0, 0];
  ORDERS.forEach((order, i) => {
    const visible = $(`show-${i}`).checked ? all : [];
    const lines = visible.map(({ curves }) => curves[i]);
    for (const line of lines) {
      low = Math.min(low, line.x[0]);
      high = Math.max(high, line.x[line.x.length - 1]);
      for (const y of line.y) {
        if (y < least) least = y;
        if (y > most) most = y;
      }
    }
    models.lines[i].data = {
      xs: lines.map((line) => line.x),
      ys: lines.map((line) => line.y),
      name: visible.map(({ name }) => `${order} of ${name}`),
      color: visible.map((_, j) => colors[(all.length === 1 ? i : j) % colors.length]),
    };
  });
  if (low < high) {
    const x = models.plot.x_range;
    if (x.start !== low || x.end !== high) {
      Object.assign(x, { start: low, end: high, reset_start: low, reset_end: high });
      Object.assign($("x"), { min: low, max: high, step: (high - low) / 1000 });
      if ($("x").value < low || $("x").value > high) $("x").value = high / 5;
    }
    const bottom = Math.floor(2 * Math.max(least, -3) - 0.2) / 2;
    const top = Math.ceil(2 * Math.min(most, 5) + 0.2) / 2;
    const y = models.plot.y_range;
    Object.assign(y, { start: bottom, end: top, reset_start: bottom, reset_end: top });
  }
  models.maps.data = {
    xs: all.map(({ cMap }) => cMap.x),
    ys: all.map(({ cMap }) => cMap.y),
    name: all.map(({ name }) => name),
    color: all.map((_, j) => colors[j % colors.length]),
  };
  drawValues(all, colors);
}

function drawValues(all, colors) {
  const x = Number($("x").value);
  $("x-value").textContent = shown(Number(x.toFixed(3)));
  models.x.data = { x: [x, x], y: [-100, 100] };
  const statistics = all.length ? Object.keys(all[0].moments) : [];
  const head = ["", ...ORDERS.map((order) => `${order}(x)`), ...statistics];
  $("values").tHead.replaceChildren(element("tr", {}, ...head.map((text) =>
    element("th", { scope: "col" }, text))));
  $("values").tBodies[0].replaceChildren(...all.map(({ name, curves, moments }, i) => {
    const first = element("td", {}, element("b", {}, "■ "), name);
    first.firstChild.style.color = colors[i % colors.length];
    const cells = [...curves.map((line) => height(valueAt(line, x))), ...Object.values(moments).map(shown)];
    return element("tr", {}, first, ...cells.map((text) => element("td", {}, text)));
  }));
}

// The value of a curve, to the digits that it has.
function height(y) {
  if (Math.abs(y) > 0.999 * data.limit) return y > 0 ? `> ${data.limit}` : `< −${data.limit}`;
  return shown(Number(y.toFixed(3)));
}

function applyTheme() {
  document.documentElement.dataset.theme = state.dark ? "dark" : "light";
  $("theme").textContent = state.dark ? "Light" : "Dark";
  if (!models) return;
  const [ink, line] = state.dark ? ["#e4e9ef", "#333c47"] : ["#1b1f24", "#d0d7de"];
  for (const figure of [models.plot, models.map]) {
    figure.outline_line_color = line;
    for (const axis of [...figure.below, ...figure.left]) {
      Object.assign(axis, {
        axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: line,
        major_tick_line_color: line, minor_tick_line_color: line,
      });
    }
    for (const grid of figure.center) if ("grid_line_color" in grid) grid.grid_line_color = line;
  }
  for (const span of models.spans) span.line_color = ink;
  update();
}

async function makePlots() {
  await Promise.all(data.plots.map((item) => Bokeh.embed.embed_item(item)));
  const found = (name) => Bokeh.documents.map((d) => d.get_model_by_name(name)).find(Boolean);
  models = {
    plot: found("plot"),
    map: found("map"),
    lines: [0, 1, 2].map((i) => found(`lines-${i}`)),
    maps: found("maps"),
    x: found("x"),
    spans: ["across"].map(found).filter(Boolean),
  };
}

// --- Start ---

// The specs after the #, of which those that are not ours are left out.
function fromHash() {
  return decodeURIComponent(location.hash.slice(1)).split(";").flatMap((spec) => {
    const [, name, text] = /^(\w+)(?:\((.*)\))?$/.exec(spec) || [];
    const entry = byName.get(name);
    if (!entry) return [];
    const given = Object.fromEntries((text || "").split(",").map((part) => part.trim().split("=")));
    const values = defaults(entry).map((usual, i) => {
      const axis = entry.record.axes[i];
      if (!(axis.name in given)) return usual;
      if (axis.scale === "choice") return axis.values.find((v) => asPython(v) === given[axis.name]) ?? usual;
      const value = Number(given[axis.name]);
      const last = axis.values[axis.values.length - 1];
      return Number.isFinite(value) ? Math.min(last, Math.max(axis.values[0], value)) : usual;
    });
    return [{ entry, values }];
  });
}

async function copy(id, said) {
  const text = $(id).textContent;
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($(id)); // no clipboard here: ready for Ctrl+C
    said.textContent = "Selected: press Ctrl+C.";
  }
}

async function start() {
  applyTheme();
  $("search").addEventListener("input", filter);
  $("where").addEventListener("input", filter);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && state.listed.length) select(sortedEntries()[0].name);
  });
  const body = $("table").tBodies[0];
  body.addEventListener("keydown", onRowKey);
  body.addEventListener("click", (event) => {
    const clicked = event.target.closest("tr");
    if (!clicked) return;
    select(clicked.dataset.name);
    if (matchMedia("(max-width: 60rem)").matches) $("detail").scrollIntoView();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(?:INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    $("search").focus();
  });
  $("keep").addEventListener("click", () => keep(state.entry, state.values));
  $("x").addEventListener("input", later);
  for (const i of [0, 1, 2]) $(`show-${i}`).addEventListener("change", update);
  $("theme").addEventListener("click", () => {
    state.dark = !state.dark;
    applyTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    state.dark = event.matches;
    applyTheme();
  });
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => copy(button.dataset.copies, $("copied")));
  }
  blob = await unpacked($("blob").textContent);
  await makePlots();
  const [first, ...kept] = fromHash();
  state.kept = kept.filter(({ entry }) => entry.record);
  const shownFirst = first || { entry: byName.get("relu") || entries[0] };
  state.entry = shownFirst.entry;
  drawTable();
  select(shownFirst.entry.name, shownFirst.values);
  applyTheme();
  document.documentElement.dataset.ready = "yes"; // tests wait for it
}

start().catch((error) => {
  $("failure").hidden = false;
  $("failure").textContent = `The page could not start: ${error.message}`;
  throw error;
});
