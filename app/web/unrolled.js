// One unit of a recurrent network, drawn once for each token that it reads, as the lecture draws it.

import {html, svg} from './vendor/lit.js';
import {percent, probability, shown, spoken} from './wording.js';

const [STEP, HEIGHT] = [118, 330];
const [C, H] = [92, 226];  // where the lines of c and h run

/** What each kind of cell has: its bars ([gate, least]), its lines, its table and its sentence. */
const KINDS = {
  lstm: {
    bars: [['i', 0], ['f', 0], ['o', 0], ['g', -1]],
    lines: [['c', C], ['h', H]],
    columns: {i: 'input gate', f: 'forget gate', o: 'output gate', g: 'candidate', c: 'cell', h: 'output'},
    lead: html`Its cell <i>c</i> runs along the top: the forget gate <i>f</i> says how much of it stays, the
      input gate <i>i</i> how much of the candidate <i>g</i> comes in, the output gate <i>o</i> how much is
      shown as <i>h</i>.`,
    told: ({i, f, o, g, c, h, before}) => html`the cell kept ${percent(f)} of what it
      ${before ? html`had (${before.c.toFixed(2)})` : 'began with'}, added ${percent(i)} of ${g.toFixed(2)}, and
      has <b>c = ${c.toFixed(2)}</b>. It shows ${percent(o)} of tanh(c): <b>h = ${h.toFixed(2)}</b>.`,
  },
  gru: {
    bars: [['r', 0], ['z', 0], ['n', -1]],
    lines: [['h', H]],
    columns: {r: 'reset gate', z: 'update gate', n: 'candidate', h: 'output'},
    lead: html`Its output <i>h</i> is all that it keeps: the update gate <i>z</i> says how much of it stays, the
      rest is the candidate <i>n</i>; the reset gate <i>r</i> says how much the candidate knows of what was
      before.`,
    told: ({r, z, n, h, before}) => html`the unit kept ${percent(z)} of what it
      ${before ? html`had (${before.h.toFixed(2)})` : 'began with'}, and took the rest from the candidate
      (${n.toFixed(2)}), for which ${percent(r)} of the past counted: <b>h = ${h.toFixed(2)}</b>.`,
  },
  rnn: {
    bars: [],
    lines: [['h', H]],
    columns: {h: 'output'},
    lead: html`It has no gates: at each token its output <i>h</i> is computed anew, from the token and from all
      units’ last outputs.`,
    told: ({h}) => html`the unit has <b>h = ${h.toFixed(2)}</b>.`,
  },
};

export const kindOf = (gates) => KINDS['c' in gates ? 'lstm' : 'z' in gates ? 'gru' : 'rnn'];

export const leadOf = (cell) => KINDS[cell]?.lead;

export function unrolled(steps, kind, at, choose) {
  const width = STEP * steps.length + 40;
  const biggest = Math.max(1, ...steps.map(({c = 0}) => Math.abs(c)));
  const move = (event) => {
    const way = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!way) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(steps.length - 1, at + way));
    choose(next);
    event.currentTarget.scrollTo({left: next * STEP - event.currentTarget.clientWidth / 2 + STEP});
  };
  return html`<div class="tree unrolled" tabindex="0" role="group" aria-label="The unrolled cell; arrow keys move from step to step" @keydown=${move}>
      <svg width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="A cell for each of ${steps.length} tokens; the table below says the same">
        ${steps.map((step) => cell(step, kind, biggest, step.t === at, () => choose(step.t)))}</svg></div>`;
}

function cell(step, {bars, lines}, biggest, chosen, choose) {
  const x = 20 + STEP * step.t;
  const colour = (value) => (value < 0 ? 'minus' : 'plus');
  const first = 52 - 10 * bars.length + 4;
  return svg`<g class="step ${chosen ? 'chosen' : ''}" transform="translate(${x} 0)" @pointerenter=${choose} @click=${choose}>
    <rect class="hit" x="0" y="0" width=${STEP} height=${HEIGHT}></rect>
    <text class="next" x="52" y="20">${step.next ? `${shorten(shown(step.next.token), 9)} ${probability(step.next.logprob)}` : ''}</text>
    <path class="line" d="M52 70 V30 m-4 6 l4 -7 l4 7"></path>
    ${lines.map(([, y]) => svg`<path class="line" d="M-14 ${y} H${STEP - 14}"></path>`)}
    <rect class="box" x="6" y="70" width="92" height="180" rx="12"></rect>
    ${lines.map(([name, y]) => svg`<text class="name" x="14" y=${name === 'c' ? y - 6 : y + 14}>${name}</text>
      <circle class=${colour(step[name])} cx="86" cy=${y}
        r=${(3 + 8 * Math.min(1, Math.abs(step[name]) / (name === 'c' ? biggest : 1))).toFixed(1)}></circle>`)}
    ${bars.map(([gate, least], i) => {
    const left = first + 20 * i;
    const value = step[gate];
    const zero = least ? 162 : 200;
    const size = (least ? 38 : 76) * Math.abs(value);
    return svg`<rect class="slot" x=${left} y="124" width="12" height="76" rx="2"></rect>
      <rect class=${least ? colour(value) : 'gate'} x=${left} y=${value < 0 ? zero : zero - size} width="12" height=${size.toFixed(1)} rx="2"></rect>
      <text class="name" x=${left + 6} y="118">${gate}</text>`;
  })}
    ${bars.length ? '' : svg`<text class="value" x="52" y="165">${step.h.toFixed(2)}</text>`}
    <path class="line" d="M52 284 V252 m-4 6 l4 -7 l4 7"></path>
    <text class="token" x="52" y="304">${shorten(shown(step.token), 11)}</text></g>`;
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** What happens at a step, in words. */
export function inWords(step, kind) {
  const {token, next} = step;
  return html`<p>After <b>${spoken(token)}</b> ${kind.told(step)}</p>
    ${next ? html`<p class="number">the network then gives “${spoken(next.token)}” ${probability(next.logprob)}</p>` : ''}`;
}

/** The same as a table. */
export function stepsTable(steps, {columns}) {
  const gates = Object.keys(columns);
  return html`<details class="table"><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="The gates as a table"><table>
    <thead><tr><th scope="col">token</th>${gates.map((gate) => html`<th scope="col">${columns[gate]} ${gate}</th>`)}</tr></thead>
    <tbody>${steps.map((step) => html`<tr><th scope="row">${spoken(step.token)}</th>
      ${gates.map((gate) => html`<td class="number">${step[gate].toFixed(2)}</td>`)}</tr>`)}</tbody></table></div></details>`;
}
