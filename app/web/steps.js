// The network unrolled: one cell for each token, with what its gates did, as the lecture draws it.

import {html, nothing, svg} from './vendor/lit.js';
import {call, curl} from './api.js';
import {Part, copyButton, errorBox} from './part.js';
import {session} from './session.js';
import {percent, probability, shown, spoken} from './wording.js';

const [STEP, HEIGHT] = [118, 330];
const GATES = [['i', 'input gate'], ['f', 'forget gate'], ['o', 'output gate'], ['g', 'candidate'], ['c', 'cell'], ['h', 'output']];
const MOST = 120;  // tokens that are drawn

class StepsPart extends Part {
  static properties = {models: {}, busy: {}, error: {}, model: {}, text: {}, unit: {}, result: {}, at: {}};

  constructor() {
    super();
    Object.assign(this, {model: 'shakespeare', text: 'ROMEO:\nO, she doth teach', unit: 0, at: 0});
  }

  async opened() {
    if (this.models) return;
    const found = await this.attempt(async (signal) => {
      const {models} = await call('models', {signal});
      return Promise.all(models.filter(({kind}) => kind === 'text').map(({name}) => call(`models/${name}`, {signal})));
    });
    if (!found?.length) return;
    this.models = found;
    if (!found.some(({name}) => name === this.model)) this.model = found[0].name;
    this.unroll();
  }

  get units() {
    const network = this.models?.find(({name}) => name === this.model)?.network;
    return network ? network.layers * network.hidden_size : 1;
  }

  get body() {
    return {model: this.model, text: this.text, units: [Math.min(this.unit, this.units - 1)], gates: true};
  }

  async unroll(event) {
    event?.preventDefault();
    const {body} = this;
    const {model, text} = body;
    const result = await this.attempt(async (signal) => {
      const [activations, score] = await Promise.all([
        call('activations', {json: body, signal}), call('score', {json: {model, text}, signal})]);
      return {tokens: activations.tokens, unit: activations.units[0], scores: score.tokens, model};
    });
    if (result) Object.assign(this, {result, at: Math.min(this.at, result.tokens.length - 1)});
  }

  /** Unroll the caption on screen, with the language model that reads words. */
  takeCaption() {
    const words = this.models.find(({level}) => level === 'word');
    Object.assign(this, {model: words.name, text: session.captions[session.chosen].text, at: 0});
    this.unroll();
  }

  render() {
    const caption = session.captions[session.chosen];
    const canRead = this.models?.some(({level}) => level === 'word');
    return html`<h1>The network unrolled</h1>
      <p class="lead">One LSTM cell, drawn once for each token that it reads. Its cell <i>c</i> runs along the
        top: the forget gate says how much of it stays, the input gate how much of the candidate comes in,
        the output gate how much is shown as <i>h</i>.</p>
      ${errorBox(this.error)}
      <form class="sheet asks" @submit=${(event) => this.unroll(event)}>
        <div class="fields">
          <label class="field">Network<select @change=${({target}) => { this.model = target.value; this.unroll(); }}>
            ${(this.models ?? []).map(({name}) => html`<option value=${name} .selected=${name === this.model}>${name}</option>`)}</select></label>
          <label class="field">Unit, 0 to ${this.units - 1}<input type="number" min="0" max=${this.units - 1} .value=${String(this.unit)}
            @input=${({target}) => { this.unit = Number(target.value); this.soon(() => this.unroll(), 250); }}></label>
          <label class="field wide">Text<textarea rows="2" maxlength="1000" .value=${this.text}
            @input=${({target}) => { this.text = target.value; }}></textarea></label>
        </div>
        <p class="actions"><button class="button" type="submit" ?disabled=${!this.models || this.busy}>Unroll</button>
          ${caption && canRead ? html`<button type="button" class="quiet" @click=${() => this.takeCaption()}>The caption “${caption.text}”</button>` : nothing}
          ${copyButton('Copy as curl', () => curl('activations', {json: this.body}))}
          <span class="hint" role="status">${this.busy ? 'Reading …' : ''}</span></p>
      </form>
      ${this.result ? this.drawing() : nothing}`;
  }

  drawing() {
    const {tokens, unit: {gates, name}, scores} = this.result;
    if (!tokens.length) return nothing;
    const steps = tokens.slice(0, MOST).map((token, t) => ({
      token, t, before: t ? gates.c[t - 1] : null, next: scores[t + 1],
      ...Object.fromEntries(GATES.map(([gate]) => [gate, gates[gate][t]]))}));
    const width = STEP * steps.length + 40;
    const biggest = Math.max(1, ...gates.c.map(Math.abs));
    const move = (event) => {
      const way = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!way) return;
      event.preventDefault();
      this.at = Math.max(0, Math.min(steps.length - 1, this.at + way));
      event.currentTarget.scrollTo({left: this.at * STEP - event.currentTarget.clientWidth / 2 + STEP});
    };
    return html`<h2 class="unit-name">${name} of ${this.result.model}</h2>
      <div class="tree unrolled" tabindex="0" role="group" aria-label="The unrolled cell; arrow keys move from step to step" @keydown=${move}>
        <svg width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="A cell for each of ${steps.length} tokens; the table below says the same">
          ${steps.map((step) => cell(step, biggest, step.t === this.at, () => { this.at = step.t; }))}</svg></div>
      <div class="detail tree-detail" aria-live="polite">${inWords(steps[this.at])}</div>
      <details class="table"><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="The gates as a table"><table>
        <thead><tr><th scope="col">token</th>${GATES.map(([gate, title]) => html`<th scope="col">${title} ${gate}</th>`)}</tr></thead>
        <tbody>${steps.map((step) => html`<tr><th scope="row">${spoken(step.token)}</th>
          ${GATES.map(([gate]) => html`<td class="number">${step[gate].toFixed(2)}</td>`)}</tr>`)}</tbody></table></div></details>`;
  }
}

/** One step: the cell's box, its gates as bars, the lines of c and h, the token below. */
function cell(step, biggest, chosen, choose) {
  const x = 20 + STEP * step.t;
  const colour = (value) => (value < 0 ? 'minus' : 'plus');
  const dot = (cx, cy, value, most) => svg`<circle class=${colour(value)} cx=${cx} cy=${cy}
    r=${(3 + 8 * Math.min(1, Math.abs(value) / most)).toFixed(1)}></circle>`;
  const bars = [['i', 0], ['f', 0], ['o', 0], ['g', -1]];
  return svg`<g class="step ${chosen ? 'chosen' : ''}" transform="translate(${x} 0)" @pointerenter=${choose} @click=${choose}>
    <rect class="hit" x="0" y="0" width=${STEP} height=${HEIGHT}></rect>
    <text class="next" x="52" y="20">${step.next ? `${shown(step.next.token)} ${probability(step.next.logprob)}` : ''}</text>
    <path class="line" d="M52 70 V30 m-4 6 l4 -7 l4 7"></path>
    <path class="line" d="M-14 92 H${STEP - 14} M-14 226 H${STEP - 14}"></path>
    <rect class="box" x="6" y="70" width="92" height="180" rx="12"></rect>
    <text class="name" x="14" y="86">c</text><text class="name" x="14" y="240">h</text>
    ${dot(86, 92, step.c, biggest)}${dot(86, 226, step.h, 1)}
    ${bars.map(([gate, low], i) => {
    const left = 17 + 20 * i;
    const value = step[gate];
    const zero = low ? 162 : 200;
    const size = (low ? 38 : 76) * Math.abs(value);
    return svg`<rect class="slot" x=${left} y="124" width="12" height="76" rx="2"></rect>
      <rect class=${low ? colour(value) : 'gate'} x=${left} y=${value < 0 ? zero : zero - size} width="12" height=${size.toFixed(1)} rx="2"></rect>
      <text class="name" x=${left + 6} y="118">${gate}</text>`;
  })}
    <path class="line" d="M52 284 V252 m-4 6 l4 -7 l4 7"></path>
    <text class="token" x="52" y="304">${shown(step.token).slice(0, 13)}</text></g>`;
}

function inWords(step) {
  const {token, before, i, f, o, g, c, h, next} = step;
  const kept = before === null ? '' : `kept ${percent(f)} of what it had (${before.toFixed(2)}), `;
  return html`<p>After <b>${spoken(token)}</b> the cell ${kept}added ${percent(i)} of ${g.toFixed(2)}, and
      has <b>c = ${c.toFixed(2)}</b>. It shows ${percent(o)} of tanh(c): <b>h = ${h.toFixed(2)}</b>.</p>
    ${next ? html`<p class="number">the network then gives “${spoken(next.token)}” ${probability(next.logprob)}</p>` : nothing}`;
}

customElements.define('steps-part', StepsPart);
