// The beam: how the search for the likeliest caption went, step by step.

import {html, nothing, svg} from './vendor/lit.js';
import {call, curl} from './api.js';
import {examples, loadExamples} from './examples.js';
import {Part, copyButton, errorBox, slider} from './part.js';
import {session} from './session.js';
import {layOut, sequence} from './tree.js';
import {probability, shown, spoken} from './wording.js';

const [COLUMN, ROW, LEFT, TOP] = [116, 30, 20, 24];

class BeamPart extends Part {
  static properties = {busy: {}, error: {}, result: {}, step: {}, node: {}, options: {}, gallery: {}, playing: {}};

  constructor() {
    super();
    this.options = {beam_size: 3, length_penalty: 0.8};
    session.addEventListener('change', () => { if (!this.hidden) this.opened(); });
  }

  async opened() {
    if (session.photo && this.searched !== session.photo) {
      this.tree = null;
      if (this.searching !== session.photo) this.search();
    }
    this.gallery ??= await loadExamples().catch(() => null);
    this.requestUpdate();
  }

  get query() {
    const {beam_size: size} = this.options;
    return {...this.options, num_captions: size, consensus: false, trace: true};
  }

  async search() {
    const {photo} = session;
    this.searching = photo;
    const result = await this.attempt((signal) => call('caption', {query: this.query, form: {image: photo.file}, signal}));
    if (this.searching === photo) this.searching = null;
    if (!result || photo !== session.photo) return;
    this.searched = photo;
    this.result = result;
    this.tree = layOut(result.trace.steps);
    this.node = null;
    this.step = this.tree.columns.length;
  }

  set(name, value) {
    this.options = {...this.options, [name]: value};
    this.soon(() => this.search());
  }

  go(step) {
    this.step = Math.max(1, Math.min(this.tree.columns.length, step));
    this.updateComplete.then(() => {
      const frame = this.querySelector('.tree');
      frame?.scrollTo({left: this.step * COLUMN - frame.clientWidth + 2 * COLUMN});
    });
  }

  /** Go through the steps, one every 0.9 s. */
  play() {
    clearInterval(this.playing);
    if (this.playing) {
      this.playing = null;
      return;
    }
    if (this.step >= this.tree.columns.length) this.go(1);
    this.playing = setInterval(() => {
      if (this.hidden || !this.tree || this.step >= this.tree.columns.length) this.play();
      else this.go(this.step + 1);
    }, 900);
  }

  render() {
    return html`<h1>The beam</h1>
      <p class="lead">The network does not write one sentence: at each step it keeps the few likeliest
        beginnings, lets each grow by every word it knows, and cuts all but the best again.</p>
      ${errorBox(this.error)}
      ${session.photo ? html`<section class="sheet asks">
        <div class="beam-head"><img src=${session.photo.url} alt="The photograph that is described" height="90">
        <div class="sliders">
          ${slider({label: 'Beam size', min: 1, max: 6, value: this.options.beam_size, change: (n) => this.set('beam_size', n)})}
          ${slider({label: 'Favour long ones', min: 0, max: 2, step: 0.1, value: this.options.length_penalty, show: (p) => p.toFixed(1), change: (p) => this.set('length_penalty', p)})}
        </div></div>
        ${this.tree ? this.stepper() : html`<p class="hint" role="status">${this.busy ? 'Searching …' : ''}</p>`}
      </section>
      ${this.tree ? this.drawing() : nothing}`
    : html`<p>Choose a photograph:</p>${examples(this.gallery)}`}`;
  }

  stepper() {
    const last = this.tree.columns.length;
    return html`<div class="stepper">
      <button type="button" class="quiet" ?disabled=${this.step <= 1} @click=${() => this.go(this.step - 1)}>◀ Back</button>
      <button type="button" class="quiet" @click=${() => this.play()}>${this.playing ? 'Pause' : 'Play'}</button>
      <button type="button" class="quiet" ?disabled=${this.step >= last} @click=${() => this.go(this.step + 1)}>On ▶</button>
      <label class="slider"><span class="away">Step</span><input type="range" min="1" max=${last} .value=${String(this.step)}
        aria-valuetext="step ${this.step} of ${last}" @input=${({target}) => this.go(Number(target.value))}></label>
      <span class="number">step ${this.step} of ${last}</span>
      ${copyButton('Copy as curl', () => curl('caption', {query: this.query, form: {image: session.photo.file}}))}</div>
      <p class="told" aria-live="polite">${this.told()}</p>`;
  }

  /** What happens in this step, in words. */
  told() {
    const {items} = this.tree.columns[this.step - 1];
    const kept = items.filter((item) => item.kept);
    const ends = items.filter((item) => item.end);
    const cut = items.length - kept.length - ends.length;
    const list = (some) => some.map((item) => `“${sequence(item)}”`).join(', ');
    const last = this.step === this.tree.columns.length;
    return [
      last ? `Done: nothing that grows further can beat “${this.result.captions[0].text}”.` : '',
      kept.length ? `Kept: ${list(kept)}.` : 'Nothing grows any further.',
      ends.length ? `${ends.length === 1 ? 'Ended' : 'Ended here'}: ${list(ends)}.` : '',
      cut ? `Cut: the next ${cut}, and all words less likely than these.` : '',
    ].join(' ');
  }

  drawing() {
    const columns = this.tree.columns.slice(0, this.step);
    const rows = Math.max(...this.tree.columns.map(({items}) => items.length));
    const width = LEFT + (this.tree.columns.length + 1) * COLUMN;
    const height = TOP + rows * ROW + 12;
    const items = columns.flatMap(({items: some}) => some);
    const chosen = this.node;
    return html`<div class="tree" tabindex="0" role="region" aria-label="The tree of the search; the table below says the same">
      <svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img" aria-label="Beginnings that were kept, cut and ended">
        ${columns.map((_, i) => svg`<text class="step-number" x=${LEFT + (i + 1) * COLUMN} y="12">${i + 1}</text>`)}
        <circle class="root" cx=${LEFT + 12} cy=${TOP + rows * ROW / 2} r="6"></circle>
        ${items.map((item) => edge(item, rows, this.step === this.tree.columns.length))}
        ${items.map((item) => node(item, rows, item === chosen, this.step === this.tree.columns.length, () => { this.node = item; }))}
      </svg></div>
      <div class="detail tree-detail" aria-live="polite">${chosen ? html`<p><b>${sequence(chosen)}</b>
          ${chosen.end ? html`ended, with a score of <b>${chosen.score.toFixed(3)}</b>` : chosen.kept ? 'was kept' : 'was cut'}${chosen.caption === undefined ? '' : `; it is caption ${chosen.caption + 1}`}.</p>
        <p class="number">${spoken(chosen.token)}: ${probability(chosen.logprob)} · logprob of the whole ${chosen.total.toFixed(2)}</p>`
    : html`<p class="hint">Point at a word, to see the whole beginning and its log-probability. Thick lines are likely words,
          grey ones were cut; a square is an end. Ends with less than 1% are not drawn.</p>`}</div>
      ${this.table()}`;
  }

  table() {
    return html`<details class="table"><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="The search as a table"><table>
      <thead><tr><th scope="col">step</th><th scope="col">beginning</th><th scope="col">logprob</th><th scope="col">what became of it</th></tr></thead>
      <tbody>${this.tree.columns.slice(0, this.step).map(({items}, i) => [...items].sort((a, b) => b.total - a.total).map((item) => html`<tr>
        <td>${i + 1}</td><th scope="row">${sequence(item)}</th><td class="number">${item.total.toFixed(2)}</td>
        <td>${item.end ? `ended${item.caption === undefined ? '' : `, caption ${item.caption + 1}`}` : item.kept ? 'kept' : 'cut'}</td></tr>`))}</tbody></table></div></details>`;
  }
}

const place = (item, rows) => item
  ? {x: LEFT + (item.column + 1) * COLUMN, y: TOP + (item.row + 0.5) * ROW + (rows - item.rows) * ROW / 2}
  : {x: LEFT + 12, y: TOP + rows * ROW / 2};

const state = (item, finished) => [item.end ? 'end' : item.kept ? 'kept' : 'cut',
  finished && item.best ? 'best' : '', finished && item.leads ? 'leads' : ''].join(' ');

function edge(item, rows, finished) {
  const [from, to] = [place(item.from, rows), place(item, rows)];
  const start = from.x + (item.from ? 38 : 6);
  const end = to.x - 38;
  const middle = (start + end) / 2;
  const weight = 0.8 + 5 * Math.exp(item.logprob);
  return svg`<path class="edge ${state(item, finished)}" stroke-width=${weight.toFixed(1)}
    d="M${start} ${from.y} C${middle} ${from.y} ${middle} ${to.y} ${end} ${to.y}"></path>`;
}

function node(item, rows, chosen, finished, choose) {
  const {x, y} = place(item, rows);
  const text = shown(item.token);
  return svg`<g class="node ${state(item, finished)} ${chosen ? 'chosen' : ''}" transform="translate(${x} ${y})"
      @pointerenter=${choose} @click=${choose}>
    <rect x="-38" y="-11" width="76" height="22" rx=${item.end ? 2 : 11}></rect>
    <text y="4.5">${text.length > 11 ? `${text.slice(0, 10)}…` : text}</text></g>`;
}

customElements.define('beam-part', BeamPart);
