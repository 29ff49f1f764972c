// Figures over time, as bars.

const HOUR = 3_600_000;
const WIDTH = 600, HEIGHT = 130;
const RANGES = { day: [24, 1], week: [7 * 24, 6], month: [30 * 24, 24], quarter: [90 * 24, 24] };

/** The price of a model: under its own name, or under it without the date that it ends with. */
function priceOf(prices, model) {
  const known = [model, model.replace(/-(\d{4}-\d{2}-\d{2}|\d{8})$/, "")].find((name) => Object.hasOwn(prices, name));
  return known === undefined ? null : prices[known];
}

/** What tokens cost whose cost nobody gave; null where no price is known. */
function reckoned(prices, model, prompt, completion) {
  const price = priceOf(prices, model);
  return price ? (prompt * price.prompt + completion * price.completion) / 1e6 : null;
}

/** A conversation's cost: what was given, and what can be reckoned from the prices. */
function costOf({ cost, unpriced_tokens }, prices) {
  const parts = Object.entries(unpriced_tokens).map(([model, [prompt, completion]]) => reckoned(prices, model, prompt, completion));
  const known = parts.filter((part) => part !== null);
  return cost === null && !known.length ? null : known.reduce((sum, part) => sum + part, cost ?? 0);
}

/** What the charts were last drawn from: those that have not changed stay, with whatever is pointed at. */
let drawn = null;

async function showCharts(range) {
  const [hours, step] = RANGES[range];
  const width = step * HOUR;
  // Whole days begin at this place's midnight.
  const shift = step === 24 ? new Date().getTimezoneOffset() * 60_000 : 0;
  const last = Math.floor((Date.now() - shift) / width);
  const first = last - hours / step + 1;
  const start = new Date(first * width + shift).toISOString();
  const answer = await (await request(`/statistics?${new URLSearchParams({ start })}`)).text();
  const from = `${range} ${first} ${answer}`;
  if (from === drawn) return;
  drawn = from;
  const figures = JSON.parse(answer);
  const slot = (at) => Math.floor((new Date(at) - shift) / width) - first;
  const slots = Array.from({ length: last - first + 1 }, (_, index) => ({
    at: (first + index) * width + shift, conversations: 0, turns: 0, failed: 0, tokens: 0, cost: 0, latencies: [],
  }));
  for (const row of figures.conversations) slots[slot(row.at)] && (slots[slot(row.at)].conversations += row.conversations);
  for (const row of figures.hours) {
    const sums = slots[slot(row.at)];
    if (!sums) continue;
    sums.turns += row.turns;
    sums.failed += row.failed;
    sums.tokens += row.prompt_tokens + row.completion_tokens;
    sums.cost += row.cost + (reckoned(figures.prices, row.model, row.unpriced_prompt_tokens, row.unpriced_completion_tokens) ?? 0);
  }
  for (const row of figures.latencies) slots[slot(row.at)]?.latencies.push([row.latency_ms, row.turns]);
  for (const sums of slots) sums.median = quantile(sums.latencies, 0.5), sums.slow = quantile(sums.latencies, 0.95);
  showFigures(slots, step);
  const total = (name) => slots.reduce((sum, one) => sum + one[name], 0);
  const all = slots.flatMap(({ latencies }) => latencies);
  byId("charts").replaceChildren(
    chart("Conversations", numbers.format(total("conversations")), slots, "conversations", numbers.format),
    chart("Turns", `${numbers.format(total("turns"))}${total("failed") ? `, ${numbers.format(total("failed"))} failed` : ""}`, slots, "turns", numbers.format, "failed"),
    chart("Tokens", numbers.format(total("tokens")), slots, "tokens", numbers.format),
    chart("Cost", prices.format(total("cost")), slots, "cost", prices.format),
    chart("Latency", all.length ? `median ${duration(quantile(all, 0.5))}, 95 of 100 within ${duration(quantile(all, 0.95))}` : "none told", slots, "slow", duration, "median"),
  );
}

/** The same as a table: for who cannot see the bars, and for who wants the figures. */
function showFigures(slots, step) {
  const columns = [
    ["Conversations", (one) => numbers.format(one.conversations)],
    ["Turns", (one) => numbers.format(one.turns)],
    ["Failed", (one) => numbers.format(one.failed)],
    ["Tokens", (one) => numbers.format(one.tokens)],
    ["Cost", (one) => prices.format(one.cost)],
    ["Median latency", (one) => (one.latencies.length ? duration(one.median) : "")],
    ["95 of 100 within", (one) => (one.latencies.length ? duration(one.slow) : "")],
  ];
  const when = step === 24 ? date : dayAndTime;
  const rows = slots.filter((one) => one.conversations || one.turns || one.failed || one.tokens).reverse();
  const head = el("tr", null, ...["From", ...columns.map(([name]) => name)].map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((one) =>
    el("tr", null, el("th", { scope: "row" }, time(new Date(one.at).toISOString(), when)), ...columns.map(([, figure]) => el("td", null, figure(one)))),
  );
  byId("figures").replaceChildren(
    rows.length ? el("table", null, el("caption", { className: "unseen" }, "Figures over time"), el("thead", null, head), el("tbody", null, ...body)) : el("p", { className: "muted" }, "Nothing happened in this time."),
  );
}

function quantile(counted, share) {
  const sorted = [...counted].sort(([a], [b]) => a - b);
  let left = sorted.reduce((sum, [, count]) => sum + count, 0) * share;
  for (const [value, count] of sorted) if ((left -= count) <= 0) return value;
  return 0;
}

/** A chart with a bar for each stretch of time, and a second figure laid over it. */
function chart(name, sum, slots, figure, format, over) {
  const highest = Math.max(...slots.map((one) => Math.max(one[figure], over ? one[over] : 0)), 0);
  const each = WIDTH / slots.length;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${sum}; highest ${format(highest)}` });
  svg.append(shape("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  slots.forEach((one, index) => {
    const bar = (value, kind) => {
      const height = highest ? Math.max((value / highest) * (HEIGHT - 8), value ? 2 : 0) : 0;
      return shape("rect", { class: kind, x: index * each + each * 0.12, width: each * 0.76, y: HEIGHT - height, height, rx: 1.5 });
    };
    const group = shape("g", {}, shape("rect", { class: "hit", x: index * each, width: each, y: 0, height: HEIGHT }), bar(one[figure], "bar"));
    if (over) group.append(bar(one[over], `bar ${over}`));
    const told = over ? `${format(one[figure])} (${over} ${format(one[over])})` : format(one[figure]);
    group.append(shape("title", {}, `${full.format(new Date(one.at))}: ${told}`));
    svg.append(group);
  });
  const ends = el("p", { className: "ends" }, el("span", null, date.format(new Date(slots[0].at))), el("span", null, highest ? `highest ${format(highest)}` : ""), el("span", null, "now"));
  return el("figure", { className: "chart" }, el("figcaption", null, el("b", null, name), el("span", null, sum)), svg, ends);
}

function shape(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
