'use strict';
const STATES = { closed: 'closed', open: 'open', half_open: 'half-open', forced_open: 'held open' };
const REASONS = {
  failure_rate: 'too many calls failed', slow_call_rate: 'too many calls were slow',
  consecutive_failures: 'calls failed one after the other', stalled: 'no call was answered',
  open_duration_elapsed: 'a caller tries again', backend_answered: 'the database answered a probe',
  probes_failed: 'the probes failed', probes_succeeded: 'the probes succeeded',
  manual: 'it was tripped by hand', reset: 'it was reset by hand', operator: 'an operator decided so',
};
/** The calls, from the bottom of the chart to its top. */
const CALLS = ['answered', 'ignored', 'refused', 'failed'];
const SPAN = 120;

/** An element with a class and contents. Contents are text or nodes, never HTML. */
const element = (name, kind, ...contents) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...contents);
  return made;
};
const shape = (name, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
};
const digits = (x, n) => x.toLocaleString('en', { maximumFractionDigits: n });
const percent = (x) => `${digits(x * 100, 0)}\u00a0%`;
const duration = (s) => {
  if (s == null) return '–';
  if (s < 0.01) return `${digits(s * 1000, 1)} ms`;
  if (s < 1) return `${digits(s * 1000, 0)} ms`;
  if (s < 10) return `${digits(s, 1)} s`;
  if (s < 120) return `${digits(s, 0)} s`;
  return s < 7200 ? `${digits(s / 60, 0)} min` : `${digits(s / 3600, 1)} h`;
};
const bytes = (n) => (n < 1e6 ? `${digits(n / 1e3, 0)} kB` : `${digits(n / 1e6, 1)} MB`);
/** The smallest of 1, 2, 5, 10, ... that is not exceeded. */
const ceiling = (x) => {
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= x);
};
const rate = (values) => values.slice(-4, -1).reduce((a, b) => a + b, 0) / 3;

function calls(card, history) {
  const svg = card.querySelector('.calls');
  const base = new Array(SPAN).fill(0);
  const totals = base.map((_, i) => CALLS.reduce((sum, key) => sum + history[key][i], 0));
  const max = ceiling(Math.max(5, ...totals, ...history.fallbacks));
  const bars = CALLS.map((key) => {
    let d = '';
    history[key].forEach((count, i) => {
      if (!count) return;
      const [from, height] = [base[i], (count / max) * 100];
      base[i] += height;
      d += `M${i + 0.08} ${100 - from}v${-height}h.84v${height}z`;
    });
    return shape('path', { class: key, d });
  });
  // Refused and failed calls may have been served in another way: up to this line.
  const fallbacks = line(history.fallbacks.map((count) => count || null), (count) => 100 - (count / max) * 100);
  svg.replaceChildren(...bars, shape('path', { class: 'fallbacks', d: fallbacks }));
  card.querySelector('.calls ~ .max').textContent = digits(max, 0);
  const now = [...CALLS, 'fallbacks'].map((key) => [key, rate(history[key])]);
  card.querySelector('.legend').replaceChildren(...now.map(([key, value]) =>
    element('li', key, element('b', '', digits(value, value < 10 ? 1 : 0)), ` ${key}`)));
  svg.setAttribute('aria-label', now.map(([key, value]) => `${digits(value, 1)} ${key}`).join(', '));
}

/** A line through the middles of the seconds that have a value. A lone second is a dash. */
function line(values, y) {
  let d = '';
  values.forEach((value, i) => {
    if (value == null) return;
    d += values[i - 1] == null ? `M${i + 0.2} ${y(value)}L${i + 0.5} ${y(value)}` : `L${i + 0.5} ${y(value)}`;
  });
  return d;
}

function states(card, pool, now) {
  const svg = card.querySelector('.states');
  const first = pool.changes[0];
  let [from, state] = [0, first ? first.from : pool.state];
  const bars = [];
  for (const change of [...pool.changes, { at: now, to: null }]) {
    const to = Math.max(0, SPAN - (now - change.at));
    if (to > from) bars.push(shape('rect', { class: state, x: from, width: to - from, height: 1 }));
    [from, state] = [to, change.to];
  }
  svg.replaceChildren(...bars);
  svg.setAttribute('aria-label', `State: ${STATES[pool.state]}`);
}

function latency(card, pool) {
  const svg = card.querySelector('.latency');
  // Five powers of ten, up from 0.1 ms.
  const y = (value) => 98 - (Math.min(Math.max(Math.log10(value / 1e-4), 0), 5) / 5) * 96;
  svg.replaceChildren(...['p99', 'p50'].map((kind) =>
    shape('path', { class: kind, d: line(pool.history[kind], y) })));
  for (const kind of ['p50', 'p99']) {
    card.querySelector(`.legend .${kind} b`).textContent = duration(pool.latency[kind]);
  }
  const { p50: median, p99: most } = pool.latency;
  svg.setAttribute('aria-label', `Latency: median ${duration(median)}, 99th percentile ${duration(most)}`);
}

function figure(title, value, note, part, limit) {
  const data = element('dd', '', element('b', '', value));
  if (part != null) {
    const fill = element('i', limit != null && part >= limit ? 'over' : '');
    fill.style.width = `${Math.min(part, 1) * 100}%`;
    const bar = element('div', 'bar', fill);
    if (limit != null) {
      const mark = element('u');
      mark.style.left = `calc(${limit * 100}% - ${limit === 1 ? 2 : 1}px)`;
      bar.append(mark);
    }
    data.append(bar);
  }
  data.append(element('span', '', note));
  return element('div', '', element('dt', '', title), data);
}

function figures(card, pool) {
  const { window: w, connections: c, cache } = pool;
  const limit = (rate) => (rate == null ? 'not a rule' : `opens at ${percent(rate)}`);
  // An open breaker counts no calls: these are the rates that opened it.
  const then = pool.state === 'closed' || pool.mode !== 'enforce' ? '' : ' when it opened';
  const from = w.slow_call_threshold == null ? '' : `, slow from ${duration(w.slow_call_threshold)}`;
  const all = [
    figure('Failed', percent(w.failure_rate), `of ${digits(w.calls, 0)} calls${then}, ${limit(w.failure_rate_threshold)}`,
      w.failure_rate, w.failure_rate_threshold),
    figure('Slow', percent(w.slow_call_rate), `${limit(w.slow_call_rate_threshold)}${from}`,
      w.slow_call_rate, w.slow_call_rate_threshold),
  ];
  if (c) {
    const waiting = pool.waiting === 1 ? '1 caller waits' : `${digits(pool.waiting, 0)} callers wait`;
    all.push(figure('Connections in use', `${c.used} of ${c.max}`, `${c.idle} idle, ${waiting}`, c.used / c.max));
  }
  if (cache) {
    const reads = cache.hits + cache.stale + cache.misses;
    all.push(figure('Cache hits', reads ? percent((cache.hits + cache.stale) / reads) : '–',
      `${digits(cache.entries, 0)} answers, ${bytes(cache.bytes)}`, reads ? (cache.hits + cache.stale) / reads : 0));
  }
  card.querySelector('.figures').replaceChildren(...all);
}

function fallbacks(card, pool, now) {
  card.querySelector('.served ul').replaceChildren(...pool.fallbacks.map((served) => {
    const what = served.age == null ? served.source.replace('_', ' ') : `${duration(served.age)} old`;
    return element('li', '', element('b', '', served.policy ?? 'without a policy'), element('span', '', what),
      element('code', '', served.reason ?? ''), element('span', '', now - served.at < 2 ? 'now' : `${duration(now - served.at)} ago`));
  }));
}

function changes(card, pool) {
  card.querySelector('.changes ol').replaceChildren(...pool.changes.slice(-6).reverse().map((change) => {
    const at = new Date(change.at * 1000);
    const time = element('time', '', at.toLocaleTimeString([], { hourCycle: 'h23' }));
    time.dateTime = at.toISOString();
    const rates = change.calls ? `${percent(change.failure_rate)} failed, ${percent(change.slow_call_rate)} slow of ${change.calls}` : '';
    return element('li', '', time, element('span', '', `${STATES[change.from]} → `, element('b', change.to, STATES[change.to])),
      element('code', '', change.reason), element('span', '', rates));
  }));
}

function story(pool, now) {
  const last = pool.changes.at(-1);
  const parts = [];
  const state = STATES[pool.state][0].toUpperCase() + STATES[pool.state].slice(1);
  if (pool.since != null) {
    const time = duration(Math.max(0, now - pool.since));
    parts.push(`${state} for ${time}, because ${REASONS[last.reason] ?? last.reason}.`);
  }
  if (pool.retry_after != null && pool.state === 'open') parts.push(`Callers are told to retry in ${duration(pool.retry_after)}.`);
  const { trips, time_not_closed, rejected } = pool.totals;
  if (pool.mode === 'observe') parts.push(`It only observes: ${digits(rejected, 0)} calls would have been refused.`);
  if (pool.mode === 'disabled') parts.push('It is disabled.');
  parts.push(trips ? `Opened ${trips === 1 ? 'once' : `${digits(trips, 0)} times`}, ${duration(time_not_closed)} in all`
    + `; ${digits(rejected, 0)} calls refused${reasons(pool)}.` : 'It has never opened.');
  return parts.join(' ');
}

function reasons(pool) {
  const all = pool.refusals.filter(({ reason }) => !['open', 'half_open'].includes(reason));
  return all.map(({ reason, calls }) => `, ${digits(calls, 0)} ${reason}`).join('');
}

function show({ now, pools }) {
  const main = document.getElementById('pools');
  while (main.children.length > pools.length) main.lastChild.remove();
  pools.forEach((pool, i) => {
    if (!main.children[i]) main.append(document.getElementById('pool').content.cloneNode(true));
    const card = main.children[i];
    card.querySelector('.name').textContent = pool.name;
    const badge = card.querySelector('.state');
    badge.className = `state ${pool.state}`;
    badge.textContent = STATES[pool.state] + (pool.mode === 'enforce' ? '' : ` (${pool.mode})`);
    card.querySelector('.story').textContent = story(pool, now);
    calls(card, pool.history);
    states(card, pool, now);
    latency(card, pool);
    figures(card, pool);
    fallbacks(card, pool, now);
    changes(card, pool);
  });
  const ill = pools.filter((pool) => pool.state !== 'closed');
  const well = pools.length === 1 ? '1 pool, closed' : `${pools.length} pools, all closed`;
  const summary = ill.length ? ill.map((pool) => `${pool.name} is ${STATES[pool.state]}`).join(', ') : well;
  const status = document.getElementById('summary');
  // Only when it changes, because a screen reader says it.
  if (status.textContent !== summary) status.textContent = summary;
  document.title = (ill.length ? '● ' : '') + 'fusepool';
}

const source = new EventSource(location.pathname.replace(/\/$/, '') + '/events');
let lost;
source.onmessage = (event) => {
  clearTimeout(lost);
  document.body.classList.remove('lost');
  show(JSON.parse(event.data));
};
// The stream ends once a minute, and begins again at once.
source.onerror = () => {
  clearTimeout(lost);
  lost = setTimeout(() => {
    document.body.classList.add('lost');
    document.getElementById('summary').textContent = 'The service does not answer. What you see is old.';
  }, 2000);
  if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
};
