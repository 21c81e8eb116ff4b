// The script of page.html: shows the data of a report. Everything on the page is made here, but for
// the verdict, which is there without it.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const figures = data.figures;
data.events.sort((a, b) => a.at_s - b.at_s);
const at = (id) => document.getElementById(id);

// Everything from outside goes in as text, never as markup.
function add(parent, tag, text = '', name = '') {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  element.className = name;
  return element;
}

// ---- Numbers for people ----

const digits = (value, most) => value.toLocaleString('en-US', {maximumFractionDigits: most});
const significant = (value) => digits(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
const whole = (value) => digits(value, 0);
const rate = (value) => value >= 100 ? whole(value) : significant(value);
function duration(us) {
  if (us < 1e3) return significant(us) + '\u00a0µs';
  return us < 1e6 ? significant(us / 1e3) + '\u00a0ms' : significant(us / 1e6) + '\u00a0s';
}
function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; ++unit) value /= 1024;
  return significant(value) + '\u00a0' + units[unit];
}
const seconds = (value) => digits(value, 1) + '\u00a0s';
const percent = (share) => digits(share * 100, 2) + '\u00a0%';
const listed = (words) =>
  words.length < 2 ? words.join('') : words.slice(0, -1).join(', ') + ' and ' + words.at(-1);

// ---- What was asked, and what came of it ----

function sentence() {
  const start = `In the scenario “${figures.scenario}”`;
  if (figures.connections === 0) return `${start}, no connection was made.`;
  const setting = `${start}, with up to ${whole(figures.connections)} connections and ` +
    `${significant(figures.seconds)}\u00a0s of measuring, `;
  if (figures.submitted === 0) return `${setting}no message was sent.`;
  const latency = data.delivery.count === 0 ? '' :
    `, half within ${duration(figures.p50_us)} and 99\u00a0% within ${duration(figures.p99_us)}`;
  const broken = ['lost', 'duplicated', 'reordered', 'corrupted', 'late', 'refused', 'unanswered',
    'undelivered', 'unconfirmed', 'unsent']
    .filter((name) => figures[name] > 0).map((name, i) => whole(figures[name]) +
      (i > 0 ? ' ' : figures[name] === 1 ? ' was ' : ' were ') + name);
  const promises = ['lost', 'duplicated', 'reordered', 'corrupted']
    .some((name) => figures[name] > 0) ? '' : 'none was lost, duplicated, reordered or corrupted';
  return `${setting}the relay accepted ${whole(figures.accepted)} envelopes and delivered ` +
    `${whole(figures.delivered)}${latency}; ` +
    `${[promises, listed(broken)].filter(Boolean).join('; ')}.`;
}

function head() {
  document.title = `${figures.verdict}: ${figures.scenario}`;
  at('what').textContent =
    ['godwit-load', figures.scenario, data.started].filter(Boolean).join(' · ');
  at('asked').textContent = sentence();
  at('interrupted').hidden = !figures.interrupted;
  for (const kind of ['faults', 'unchecked']) {
    at(kind).hidden = figures[kind].length === 0;
    for (const sentence of figures[kind]) add(at(kind).querySelector('ul'), 'li', sentence);
  }
}

function cards(title, entries) {
  const shown = entries.filter(([, value]) => value !== null);
  if (!shown.length) return;
  const group = add(at('figures'), 'section');
  add(group, 'h2', title);
  const list = add(group, 'dl', '', 'cards');
  for (const [label, value, format, bad] of shown) {
    const card = add(list, 'div', '', bad && value > 0 ? 'bad' : '');
    add(card, 'dt', label);
    add(card, 'dd', format(value));
  }
}

function figure_cards() {
  const some = (histogram, value) => histogram.count === 0 ? null : value;
  cards('Promises', ['lost', 'duplicated', 'reordered', 'corrupted']
    .map((name) => [name, figures[name], whole, true]));
  cards('Speed', [
    ['accepted a second', figures.accepted_per_s, rate],
    ['delivered a second', figures.delivered_per_s, rate],
    ['bytes delivered a second', figures.delivered_bytes_per_s, bytes],
    ['connections, at the most', figures.connections, whole],
    ['logins a second', figures.logins_per_s, rate],
  ]);
  cards('From sending to delivery', [
    ['half within (p50)', some(data.delivery, figures.p50_us), duration],
    ['99 % within (p99)', some(data.delivery, figures.p99_us), duration],
    ['99.9 % within (p99.9)', some(data.delivery, figures.p999_us), duration],
    ['the slowest', some(data.delivery, figures.max_us), duration],
  ]);
  cards('What it cost the relay', [
    ['CPU seconds for a million envelopes', figures.relay_cpu_s_per_million, significant],
    ['memory, at the most', figures.relay_rss_bytes, bytes],
    ['memory for a session', figures.relay_bytes_per_session, bytes],
    ['memory for a queued envelope', figures.relay_bytes_per_queued_envelope, bytes],
  ]);
}

// ---- Charts ----

const palettes = {
  light: {ink: '#1b2430', muted: '#566170', grid: '#e3e7ec', band: '#2f6fb712', back: '#ffffff',
    series: ['#1f62ad', '#c2570c', '#6b6f76', '#7b4fa3']},
  dark: {ink: '#e7ebf0', muted: '#a3aebb', grid: '#2a333e', band: '#6aa7ee16', back: '#12171d',
    series: ['#6aa7ee', '#f2a15c', '#a9b1bb', '#c09be6']},
};
const prefers_dark = matchMedia('(prefers-color-scheme: dark)');
let palette = prefers_dark.matches ? palettes.dark : palettes.light;
const charts = [];
const dashes = [[], [6, 3], [2, 2], [9, 3, 2, 3]];  // the second sign, for print without colours

function label(context, text, x, y, align) {
  context.textAlign = align;
  context.textBaseline = 'middle';
  context.fillStyle = palette.muted;
  context.font = '11px ' + Chart.defaults.font.family;
  context.fillText(text, x, y);
}

function vertical(context, area, x, dash) {
  context.strokeStyle = palette.muted;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(x, area.top);
  context.lineTo(x, area.bottom);
  context.stroke();
}

// Phases as bands with their names above, events as numbered lines.
const timeline = {
  id: 'timeline',
  beforeDatasetsDraw({ctx: context, chartArea: area, scales: {x}}) {
    context.save();
    data.phases.forEach((phase, i) => {
      const [from, to] = [x.getPixelForValue(phase.from_s), x.getPixelForValue(phase.to_s)];
      context.fillStyle = palette.band;
      if (i % 2 === 1) context.fillRect(from, area.top, to - from, area.bottom - area.top);
      context.font = '11px ' + Chart.defaults.font.family;
      if (context.measureText(phase.name).width + 6 < to - from)
        label(context, phase.name, (from + to) / 2, area.top - 8, 'center');
    });
    context.restore();
  },
  afterDatasetsDraw({ctx: context, chartArea: area, scales: {x}}) {
    context.save();
    let last = -Infinity;
    data.events.forEach((event, i) => {
      const position = x.getPixelForValue(event.at_s);
      vertical(context, area, position, [3, 3]);
      if (position - last < 14) return;
      last = position;
      context.setLineDash([]);
      context.fillStyle = palette.back;
      context.beginPath();
      context.arc(position, area.top + 9, 8, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      label(context, i + 1, position, area.top + 9, 'center');
    });
    context.restore();
  },
};

const percentiles = {
  id: 'percentiles',
  afterDatasetsDraw({ctx: context, chartArea: area, scales: {x}}) {
    context.save();
    let row = 0;
    for (const {share, us} of data.delivery.quantiles) {
      if (![0.5, 0.99, 0.999].includes(share) || us <= 0) continue;
      const position = x.getPixelForValue(us);
      vertical(context, area, position, [3, 3]);
      const left = position > (area.left + area.right) / 2;
      label(context, `p${digits(share * 100, 1)} ${duration(us)}`, position + (left ? -4 : 4),
        area.top + 8 + 14 * row++, left ? 'right' : 'left');
    }
    context.restore();
  },
};

// Ticks of a logarithmic scale that get a number: 1, 2, 5, 10, ...
function nice(value) {
  const leading = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5].some((digit) => Math.abs(leading - digit) < 1e-6);
}

function scale(format, more) {
  return {
    grid: {color: () => palette.grid, borderColor: () => palette.muted},
    ticks: {color: () => palette.muted, maxRotation: 0, callback: format, maxTicksLimit: 8,
      precision: format === whole ? 0 : undefined},
    ...more,
  };
}

// A point without neighbours has no line: it is seen as a dot or not at all.
const stands_alone = (points, at) =>
  (points[at - 1]?.y ?? null) === null && (points[at + 1]?.y ?? null) === null;

function draw(parent, {title, note, lines, scales, format_x, format_y, plugin, padding}) {
  const frame = add(parent, 'figure');
  const caption = add(frame, 'figcaption');
  add(caption, 'h3', title);
  add(caption, 'p', note);
  const canvas = add(add(frame, 'div', '', 'plot'), 'canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${title}: ${note}`);
  const datasets = lines.map(({name, points, ...more}, i) => ({
    label: name, data: points, borderWidth: 1.75, borderDash: dashes[i], clip: 4,
    pointRadius: ({dataIndex: at}) => points.length <= 20 || stands_alone(points, at) ? 2.5 : 0,
    borderColor: () => palette.series[i], backgroundColor: () => palette.series[i] + '30', ...more,
  }));
  charts.push(new Chart(canvas, {
    type: 'line',
    data: {datasets},
    options: {
      animation: false, maintainAspectRatio: false, parsing: false, normalized: true, scales,
      devicePixelRatio: Math.max(2, devicePixelRatio), layout: {padding: {top: padding, right: 8}},
      interaction: {mode: 'nearest', axis: 'x', intersect: false},
      plugins: {
        legend: {position: 'bottom', labels: {
          usePointStyle: true, pointStyleWidth: 28,
          generateLabels: () => lines.map(({name}, i) => ({
            text: name, datasetIndex: i, pointStyle: 'line', lineWidth: 2, lineDash: dashes[i],
            strokeStyle: palette.series[i], fontColor: palette.ink})),
        }},
        tooltip: {callbacks: {
          title: ([item]) => item ? format_x(item.parsed.x) : '',
          label: (item) => `${item.dataset.label}: ${format_y(item.parsed.y)}`,
        }},
      },
    },
    plugins: [plugin],
  }));
}

function time_chart(title, note, lines, format, logarithmic = false) {
  const series = lines.map(([name, column, unit = 1]) => ({
    name, fill: lines.length === 1,
    points: data.samples[column].map((y, i) => (
      {x: data.samples.at_s[i], y: logarithmic && y <= 0 ? null : y / unit})),
  }));
  const y = logarithmic ?
    scale((value) => nice(value) ? format(value) : null, {type: 'logarithmic'}) :
    scale(format, {beginAtZero: true, suggestedMax: 1, grace: '5%'});
  const end = data.samples.at_s.at(-1);
  const x = scale(seconds, {type: 'linear', min: 0, max: end});
  x.ticks.includeBounds = false;
  draw(at('time-charts'), {title, note, lines: series, scales: {x, y}, format_x: seconds,
    format_y: format, plugin: timeline, padding: 16});
}

function time_charts() {
  const {samples} = data;
  const any = (column) => samples[column].some((value) => value > 0);
  if (samples.at_s.length === 0) {
    at('over-time').textContent = 'The run ended before there was anything to chart.';
    return;
  }
  const merged = data.samples_per_point === 1 ? '' : ` A point stands for ${
    data.samples_per_point} samples: rates are their mean, all else is the highest.`;
  at('over-time').textContent =
    `Time counts from the first login.${data.events.length ? ' Numbers mark what happened.' : ''}` +
    merged;
  const logins = any('logins_per_s') ? [['logins', 'logins_per_s']] : [];
  time_chart('Throughput', 'Envelopes and logins a second.', [['accepted', 'accepted_per_s'],
    ['delivered', 'delivered_per_s'], ...logins], rate);
  if (any('p50_us') || any('accepted_p50_us')) {
    time_chart('Latency', 'A logarithmic scale; a gap is where nothing was delivered.', [
      ['delivered, p50', 'p50_us'], ['delivered, p99', 'p99_us'],
      ['accepted, p50', 'accepted_p50_us'], ['accepted, p99', 'accepted_p99_us']], duration, true);
  }
  time_chart('Queues', 'Envelopes at the relay, and submits under way.', [
    ['accepted, not yet delivered', 'queued'],
    ['submitted, not yet answered', 'in_flight']], whole);
  time_chart('Connections', 'Errors are refusals and connections that ended unasked, so far.',
    [['connections', 'connections'], ['errors', 'errors']], whole);
  if (any('relay_rss_bytes')) {
    time_chart('CPU of the relay', 'Cores in use.', [['cores', 'relay_cpu']],
      (value) => digits(value, 2));
    time_chart('Memory of the relay', 'Resident, in MiB.',
      [['memory', 'relay_rss_bytes', 2 ** 20]], (value) => digits(value, 1));
  } else {
    add(at('over-time'), 'span', ' CPU and memory of the relay are not known: --relay-pid PID ' +
      'gives them.');
  }
}

// Bars of the same width on a logarithmic axis, six for each doubling of the time. A bucket that
// lies across two bars is shared out between them.
function bars({buckets, count}, per_doubling = 6) {
  const place = (us) => Math.log2(us) * per_doubling;
  const shares = new Map();
  for (const [from_us, to_us, many] of buckets) {
    const [from, to] = [place(Math.max(from_us, to_us / 2)), place(to_us)];
    for (let bar = Math.floor(from); bar < to; ++bar) {
      const part = (Math.min(to, bar + 1) - Math.max(from, bar)) / (to - from);
      shares.set(bar, (shares.get(bar) ?? 0) + part * many / count);
    }
  }
  const [first, last] = [Math.min(...shares.keys()), Math.max(...shares.keys())];
  const points = [];
  for (let bar = first - 1; bar <= last + 1; ++bar)
    points.push({x: 2 ** (bar / per_doubling), y: shares.get(bar) ?? 0});
  return points;
}

function percentile_table(parent) {
  const frame = add(parent, 'div');
  add(frame, 'h3', 'Percentiles');
  const table = add(frame, 'table', '', 'numbers');
  const titles = add(add(table, 'thead'), 'tr');
  for (const title of ['share', 'delivered within', 'accepted within']) add(titles, 'th', title);
  const body = add(table, 'tbody');
  const shown = (histogram, i) => histogram.count ? duration(histogram.quantiles[i].us) : '–';
  data.delivery.quantiles.forEach(({share}, i) => {
    const row = add(body, 'tr');
    add(row, 'th', share === 1 ? 'maximum' : `${percent(share)} (p${digits(share * 100, 2)})`);
    add(row, 'td', shown(data.delivery, i));
    add(row, 'td', shown(data.accepted, i));
  });
}

function latency() {
  const known = [['delivered', data.delivery], ['accepted', data.accepted]]
    .filter(([, histogram]) => histogram.count > 0);
  if (known.length === 0) {
    add(at('latency'), 'p', 'Nothing was accepted or delivered in the measured time.', 'small');
    return;
  }
  const lines = known.map(([name, histogram], i) => (
    {name, points: bars(histogram), stepped: 'before', pointRadius: 0, fill: i === 0}));
  const times = lines.flatMap(({points}) => points.map((point) => point.x));
  const x = scale((value) => nice(value) ? duration(value) : null, {type: 'logarithmic',
    min: Math.min(...times), max: Math.max(...times)});
  const y = scale(percent, {beginAtZero: true, grace: '30%'});
  draw(at('latency'), {title: 'How long it took', note: 'Share of envelopes, by the time since ' +
    'each should have been sent. Marks are of delivery.', lines, scales: {x, y},
    format_x: duration, format_y: percent, plugin: percentiles, padding: 4});
  percentile_table(at('latency'));
}

// ---- Tables ----

function table(parent, title, name, rows) {
  const frame = add(parent, 'div');
  add(frame, 'h3', title);
  const body = add(add(frame, 'table', '', name), 'tbody');
  for (const [key, value] of rows.filter((entry) => entry[1] !== '')) {
    const row = add(body, 'tr');
    add(row, 'th', key);
    add(row, 'td', value);
  }
}

function tables() {
  table(at('tables'), 'Counted', 'numbers', [
    ...['submitted', 'accepted', 'delivered', 'redelivered', 'lost', 'duplicated', 'reordered',
      'corrupted', 'late', 'refused', 'unanswered', 'undelivered', 'unconfirmed', 'unsent',
      'disconnects']
      .map((name) => [name, whole(figures[name])]),
    ['logins', whole(data.logins)],
    ['CPU seconds of godwit-load for a million',
      figures.client_cpu_s_per_million === null ? ''
        : significant(figures.client_cpu_s_per_million)],
  ]);
  const column = add(at('tables'), 'div');
  table(column, 'Scenario', 'facts', [['scenario', figures.scenario], ...data.settings
    .map(({name, value}) => [name, value])]);
  table(column, 'Where and when', 'facts', [
    ['started', data.started], ['measured for', significant(figures.seconds) + ' s'],
    ['machine', data.machine],
    ['relay', data.relay], ['relay version', figures.relay_version || 'not known'],
    ...figures.relay_log ? [['relay log', figures.relay_log]] : [],
    ['godwit-load version', data.load_version],
  ]);
  if (figures.command === '') return;
  const again = add(column, 'div');
  add(again, 'h3', 'Run it again');
  add(again, 'pre', figures.command);
}

// ---- The page ----

// Sizes are the frame's when none is given.
function repaint(next, ...size) {
  palette = next;
  for (const chart of charts) {
    chart.resize(...size);
    chart.update('none');
  }
}
const repaint_screen = () => repaint(prefers_dark.matches ? palettes.dark : palettes.light);

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
head();
figure_cards();
tables();
for (const [i, {at_s, what}] of data.events.entries())
  add(at('events'), 'li', `${seconds(at_s)}: ${what}`).value = i + 1;
at('happened').hidden = data.events.length === 0;
time_charts();
latency();
prefers_dark.addEventListener('change', repaint_screen);
// Paper is light; two charts stand side by side on A4 between its margins.
addEventListener('beforeprint', () => repaint(palettes.light, 332, 190));
addEventListener('afterprint', repaint_screen);
