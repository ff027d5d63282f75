// Cells: what the units of a language model do while it reads a text.

import {createRef, html, nothing, ref} from './vendor/lit.js';
import {call, curl} from './api.js';
import {Part, copyButton, errorBox} from './part.js';
import {PASSAGES} from './passages.js';
import {drawTiles, tileAt} from './tiles.js';
import {shown} from './wording.js';
import './token-text.js';

const PROPERTIES = ['inside quotes', 'position in line', 'word next', 'capital next', 'line end near',
  'inside parentheses', 'inside square brackets', 'indentation', 'brace depth', 'inside comment',
  'inside string', 'inside comment or string', 'inside if condition', 'inside C parentheses',
  'inside C square brackets', 'newline next at )'];

const MOST = 190_000;  // activations in one answer, of the 200,000 that a service gives by default

export const activity = (value) => (
  `background: color-mix(in oklab, var(--${value < 0 ? 'minus' : 'plus'}-back) ${Math.round(100 * Math.abs(value))}%, transparent)`);

class CellsPart extends Part {
  static properties = {
    models: {}, busy: {}, error: {}, model: {}, text: {}, property: {}, tokens: {}, unit: {}, units: {},
    ranking: {}, picked: {}, size: {},
  };

  constructor() {
    super();
    this.view = createRef();
    this.canvas = createRef();
    this.units = new Map();
    this.take(PASSAGES[0]);
  }

  take(passage) {
    Object.assign(this, {text: passage.text, property: passage.property, ranking: null});
    if (!this.models || this.models.some(({name}) => name === passage.model)) this.model = passage.model;
  }

  async opened() {
    if (this.models) return;
    const found = await this.attempt(async (signal) => {
      const {models} = await call('models', {signal});
      return models.filter(({kind}) => kind === 'text');
    });
    if (!found) return;
    this.models = found;
    if (!found.some(({name}) => name === this.model)) this.model = found[0]?.name;
    await this.updateComplete;
    this.search();
  }

  /** Look for the units that follow the property, and show the best. */
  async search(event) {
    event?.preventDefault();
    const {model, text, property} = this;
    const answer = await this.attempt((signal) => call('activations', {signal, json: {model, text, property, top: 10}}));
    if (!answer) return;
    this.read = {model, text};
    this.reset(answer);
    this.ranking = {...answer.property, units: answer.units};
    this.choose(answer.units[0].unit);
  }

  reset(answer) {
    this.size = null;  // the strips are those of the text before
    this.units = new Map(answer.units.map((unit) => [unit.unit, unit]));
    this.tokens = answer.tokens;
    this.picked = null;
    this.view.value.clear();
    // A word-level model's tokens have lost the spaces between them.
    this.view.value.add(answer.tokens.map((token, i) => ({
      text: token.length > 1 && i ? ` ${token}` : token, className: 'cell'})));
    this.view.value.done();
  }

  /** Colour the text by a unit, given by its number or its name. */
  async choose(wanted) {
    this.wanted = wanted;
    let unit = this.units.get(wanted) ?? [...this.units.values()].find(({name}) => name === wanted);
    if (!unit) {
      const answer = await this.attempt((signal) => call('activations', {signal, json: {...this.read, units: [wanted]}}));
      if (!answer) return;
      [unit] = answer.units;
      this.units.set(unit.unit, unit);
      if (this.wanted !== wanted) return;  // another one was chosen meanwhile
    }
    this.unit = unit;
    this.view.value.restyle(this.unit.activations.map(activity));
    this.paint();
  }

  show(text) {
    if (text) this.choose(/^\d+$/.test(text) ? Number(text) : text);
  }

  /** Fetch all units, as many in one answer as it may hold. */
  async all() {
    const {read, units} = this;
    const size = await this.attempt(async (signal) => {
      const {network: {layers, hidden_size: hidden}} = await call(`models/${read.model}`, {signal});
      const count = Math.min(1000, Math.floor(MOST / Array.from(read.text).length));
      for (let first = 0; first < layers * hidden; first += count) {
        const numbers = Array.from({length: Math.min(count, layers * hidden - first)}, (_, i) => first + i);
        const answer = await call('activations', {signal, json: {...read, units: numbers}});
        for (const unit of answer.units) units.set(unit.unit, {...units.get(unit.unit), ...unit});
      }
      return layers * hidden;
    });
    if (!size) return;
    this.size = size;
    await this.updateComplete;
    this.paint();
  }

  paint() {
    const canvas = this.canvas.value;
    if (canvas && this.size && this.units.size >= this.size) drawTiles(canvas, this.units, this.size, this.unit?.unit);
  }

  render() {
    return html`<h1>Cells</h1>
      <p class="lead">Each unit of a network goes up and down while it reads. Some follow something that
        nobody told them about: a quotation, a comment, the end of a line.</p>
      ${errorBox(this.error)}
      <form class="sheet asks" @submit=${(event) => this.search(event)}>
        <div class="fields">
          <label class="field">Network<select @change=${({target}) => { this.model = target.value; }}>
            ${(this.models ?? []).map(({name}) => html`<option value=${name} .selected=${name === this.model}>${name}</option>`)}</select></label>
          <label class="field">Units that follow<select @change=${({target}) => { this.property = target.value; }}>
            ${PROPERTIES.map((name) => html`<option value=${name} .selected=${name === this.property}>${name}</option>`)}</select></label>
          <div class="field" role="group" aria-label="Passages">Passages<span class="actions">${PASSAGES.map((passage) => html`<button type="button" class="quiet"
            @click=${() => { this.take(passage); this.search(); }}>${passage.title}</button>`)}</span></div>
        </div>
        <label class="field">Text<textarea rows="4" maxlength="5000" .value=${this.text}
          @input=${({target}) => { this.text = target.value; }}></textarea></label>
        <p class="actions"><button class="button" type="submit" ?disabled=${!this.models || this.busy}>Search</button>
          ${copyButton('Copy as curl', () => curl('activations', {json: {model: this.model, text: this.text, property: this.property}}))}
          <span class="hint" role="status">${this.busy ? 'Reading …' : ''}</span></p>
      </form>
      <div class="cells">
        <section aria-label="The text"><h2>${this.unit ? this.unit.name : 'A unit'}</h2>
          <token-text class="sheet" aria-label="The text coloured by a unit; arrow keys move through it" ${ref(this.view)}
            @pick=${({detail}) => { this.picked = detail; }}></token-text>
          <p class="legend"><span .style=${activity(-1)}>−1</span><span .style=${activity(-0.5)}>−0.5</span><span>0</span>
            <span .style=${activity(0.5)}>0.5</span><span .style=${activity(1)}>1</span>
            <span class="value" aria-live="polite">${this.picked === null || this.picked === undefined || !this.unit ? ''
    : html`<b>${shown(this.tokens[this.picked])}</b> ${this.unit.activations[this.picked].toFixed(2)}`}</span></p>
        </section>
        <section aria-label="Units">${this.ranking ? this.ranked() : nothing}
          <form class="actions" @submit=${(event) => { event.preventDefault(); this.show(event.target.elements.unit.value.trim()); }}>
            <label class="field">Any unit, by number or name<input name="unit" maxlength="64" required placeholder="layer 1 unit 3"></label>
            <button class="quiet" type="submit" ?disabled=${!this.read || this.busy}>Show</button></form>
          ${this.unit ? strongest(this.tokens, this.unit) : nothing}
        </section>
      </div>
      <section class="sheet all"><h2>All units</h2>
        <p class="hint">Each strip is a unit, from the first character to the last. Choose one to colour the text by it.</p>
        ${this.size ? html`<canvas class="tiles" aria-label="Strips of all ${this.size} units; the field Any unit chooses one by number" role="img"
          ${ref(this.canvas)} @click=${(event) => this.choose(tileAt(event, this.size))}></canvas>` : nothing}
        <p><button type="button" class="quiet" ?disabled=${!this.read || this.busy} @click=${() => this.all()}>
          ${this.size ? 'Read them again' : 'Show all units'}</button></p></section>`;
  }

  ranked() {
    const {measure, chance, description, units, name} = this.ranking;
    const zero = measure === 'auc' ? 0.5 : 0;
    const part = (score) => Math.max(0, (score - zero) / (1 - zero));
    return html`<h2>Units that follow “${name}”</h2><p class="hint">${description}</p>
      <table class="bars ranked"><caption>${measure === 'auc' ? 'AUC: 0.5 is chance, 1 is always right' : 'Rank correlation: 0 is chance, 1 is perfect'};
        chosen on the first half of the text, scored on the second</caption><tbody>
      ${units.map((unit) => html`<tr class=${unit.unit === this.unit?.unit ? 'said' : ''}>
        <th scope="row"><button type="button" class="quiet" @click=${() => this.choose(unit.unit)}>${unit.name}</button></th>
        <td><span class="bar" .style=${`--part: ${part(unit.score)}`}></span></td>
        <td class="number">${unit.score.toFixed(2)}${unit.direction < 0 ? ' falls' : ''}</td></tr>`)}
      <tr class="chance"><th scope="row">by chance</th><td><span class="bar" .style=${`--part: ${part(chance.high)}`}></span></td>
        <td class="number">${chance.high.toFixed(2)}</td></tr></tbody></table>
      <p class="hint">${verdict(units.filter((unit) => unit.score > chance.high).length, units.length)}</p>`;
  }
}

function verdict(above, all) {
  if (!above) return 'None is above what the best unit reaches by chance, so this says nothing. A longer text may.';
  return `${above} of ${all} ${above === 1 ? 'is' : 'are'} above what the best unit reaches by chance.`;
}

function strongest(tokens, unit) {
  const order = unit.activations.map((value, i) => [value, i]).sort(([a], [b]) => b - a);
  const context = (i) => tokens.slice(Math.max(0, i - 12), i + 1).map(shown).join('');
  const rows = [...order.slice(0, 5), ...order.slice(-5)];
  return html`<details class="table"><summary>As a table: where it is highest and lowest</summary><table>
    <thead><tr><th scope="col">after</th><th scope="col">activation</th></tr></thead>
    <tbody>${rows.map(([value, i]) => html`<tr><td><code>${context(i)}</code></td><td class="number">${value.toFixed(2)}</td></tr>`)}</tbody></table></details>`;
}

customElements.define('cells-part', CellsPart);
