// Figures and times, for people.

const numbers = new Intl.NumberFormat();
const prices = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** "1 turn", "2 turns". */
const counted = (count, noun) => `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;

/** "320 ms", "1.8 s", "2 min 5 s", "3 h 4 min". */
function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** How long ago, as short as it can be said: "now", "5 min", "14:03", "3 Mar". */
function ago(timestamp) {
  const then = new Date(timestamp);
  const minutes = (Date.now() - then) / 60_000;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  return minutes < 1440 ? today.format(then) : date.format(then);
}

/** A point in time as an element that tells the whole of it to those who point at it. */
function time(timestamp, format = clock) {
  const then = new Date(timestamp);
  return el("time", { dateTime: timestamp, title: full.format(then) }, format.format(then));
}

/** JSON text set in lines, where it is JSON; otherwise the text as it is. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return String(text);
  }
}

/** An id cut in the middle: its ends tell it from others. */
const short = (id) => (id.length <= 26 ? id : `${id.slice(0, 14)}…${id.slice(-8)}`);
