// Write: language models continue a prompt, coloured by how likely each token was.

import {createRef, html, nothing, ref} from './vendor/lit.js';
import {call, curl, stream} from './api.js';
import {alternatives} from './caption-view.js';
import {NGram} from './ngram.js';
import {Part, copyButton, errorBox, slider} from './part.js';
import {probability, shown, surprise} from './wording.js';
import './token-text.js';

const PROMPTS = {
  shakespeare: 'ROMEO:', linux: '/*\n * ', bible: 'In the beginning', captions: 'a man',
  stacks: '\\begin{lemma}', 'war-and-peace': '"Well, Prince," said',
};

/** A writer's name without that of its cell. */
const stem = (name) => name?.replace(/-(rnn|gru|lstm)$/, '');

const promptFor = (name) => PROMPTS[stem(name)] ?? '';

const NGRAM = 'n-gram';

/** Writers that differ in their cells alone, as [[label, two names]]: they are named so. */
function cellPairs(models) {
  const pairs = [];
  for (const text of new Set(models.map(stem))) {
    for (const cells of [['RNN', 'LSTM'], ['RNN', 'GRU'], ['GRU', 'LSTM']]) {
      const names = cells.map((cell) => `${text}-${cell.toLowerCase()}`);
      if (names.every((name) => models.includes(name))) pairs.push([`${text}: ${cells.join(' beside ')}`, names]);
    }
  }
  return pairs;
}

class WritePart extends Part {
  static properties = {
    models: {}, busy: {}, error: {}, columns: {}, prompt: {}, shared: {}, order: {}, counted: {},
  };

  constructor() {
    super();
    this.shared = {top_k: 0, top_p: 1, seed: 1, max_tokens: 400};
    this.columns = [{name: null, temperature: 0.8, view: createRef(), tokens: [], picked: null}];
    this.order = 6;
    this.counted = '';
  }

  async opened() {
    if (this.models) return;
    const found = await this.attempt((signal) => call('models', {signal}));
    if (!found) return;
    this.models = found.models.filter(({kind}) => kind === 'text').map(({name}) => name);
    const first = this.models.includes('shakespeare') ? 'shakespeare' : this.models[0];
    this.columns[0].name = first;
    this.prompt ??= promptFor(first);  // unless one has been typed already
    this.requestUpdate();
  }

  body(column) {
    return {model: column.name, prompt: this.prompt, temperature: column.temperature, ...this.shared,
      logprobs: 5, stream: true};
  }

  async write(event) {
    event?.preventDefault();
    for (const column of this.columns) {
      Object.assign(column, {tokens: [], picked: null, text: [], end: null, by: this.title(column)});
      column.view.value.clear();
      column.view.value.add([{text: this.prompt, className: 'prompt'}]);
    }
    await this.attempt((signal) => Promise.all(this.columns.map((column) => (
      column.name === NGRAM ? this.writeNGram(column, signal) : this.writeModel(column, signal)))));
    for (const column of this.columns) column.view.value?.done();
  }

  async writeModel(column, signal) {
    for await (const event of stream('generate-text', {json: this.body(column), signal})) {
      if (!this.columns.includes(column)) return;  // taken away meanwhile
      for (const choice of event.choices) {
        column.text.push(...choice.text);
        const {tokens, token_logprobs: logprobs, top_logprobs: top, text_offset: offsets} = choice.logprobs;
        this.show(column, tokens.map((token, i) => ({
          token,
          text: column.text.slice(offsets[i], offsets[i + 1] ?? column.text.length).join(''),
          logprob: logprobs[i],
          top: Object.entries(top[i]).map(([other, logprob]) => ({token: other, logprob}))
            .sort((a, b) => b.logprob - a.logprob),
        })));
      }
      if (event.usage) column.end = `${event.usage.completion_tokens} tokens in ${Math.round(event.timing_ms.total)} ms`;
      this.requestUpdate();
    }
  }

  async writeNGram(column, signal) {
    if (!this.counted) {
      column.end = 'nothing is counted yet: give it a text';
      return;
    }
    const ngram = new NGram(this.counted, this.order);
    const options = {length: this.shared.max_tokens, temperature: column.temperature, seed: this.shared.seed};
    for (const one of ngram.write(this.prompt, options)) {
      if (signal.aborted || !this.columns.includes(column)) return;
      this.show(column, [{...one, token: one.text}]);
      if (column.tokens.length % 16 === 0) await new Promise(requestAnimationFrame);
    }
    column.end = `${column.tokens.length} tokens, counted from ${this.counted.length.toLocaleString('en')} characters`;
  }

  show(column, tokens) {
    column.tokens.push(...tokens);
    column.view.value.add(tokens.map(({text, logprob}) => ({text, style: surprise(logprob), className: 'token'})));
  }

  /** Let the first writer write what the n-gram is counted from. */
  async count() {
    const {prompt} = this;
    const body = {model: this.columns[0].name, prompt, max_tokens: 1000, n: 10, seed: 1000};
    const answer = await this.attempt((signal) => call('generate-text', {json: body, signal}));
    if (!answer) return;
    this.counted = answer.choices.map(({text}) => prompt + text).join('\n\n');
    this.write();
  }

  choose(column, name) {
    if (column === this.columns[0] && this.prompt === promptFor(column.name)) this.prompt = promptFor(name);
    column.name = name;
    this.requestUpdate();
  }

  beside(name) {
    const column = {name, temperature: 0.8, view: createRef(), tokens: [], picked: null};
    this.columns = name ? [this.columns[0], this.columns[1] ? Object.assign(this.columns[1], {name}) : column]
      : [this.columns[0]];
  }

  /** Let two writers write side by side, at the same temperature. */
  async compare([left, right]) {
    this.choose(this.columns[0], left);
    this.beside(right);
    this.columns[1].temperature = this.columns[0].temperature;
    await this.updateComplete;
    this.write();
  }

  render() {
    const pairs = cellPairs(this.models ?? []);
    const set = (name) => (value) => { this.shared = {...this.shared, [name]: value}; };
    return html`<h1>Write</h1>
      <p class="lead">A network reads the prompt and goes on, one token after another. The more colour,
        the less likely the token was; point at one to see what else it might have been. A higher
        temperature makes it more daring.</p>
      ${errorBox(this.error)}
      <form class="sheet asks" @submit=${(event) => this.write(event)}>
        <div class="fields">
          <label class="field">Writer<select .value=${this.columns[0].name ?? ''} @change=${({target}) => this.choose(this.columns[0], target.value)}>
            ${(this.models ?? []).map((name) => html`<option value=${name} ?selected=${name === this.columns[0].name}>${name}</option>`)}</select></label>
          <label class="field">Beside it<select @change=${({target}) => this.beside(target.value)}>
            <option value="">nothing</option>${(this.models ?? []).map((name) => html`<option value=${name} .selected=${name === this.columns[1]?.name}>${name}</option>`)}
            <option value=${NGRAM}>an n-gram</option></select></label>
          <label class="field wide">Prompt<textarea rows="2" maxlength="5000" .value=${this.prompt ?? ''}
            @input=${({target}) => { this.prompt = target.value; }}></textarea></label>
        </div>
        <div class="sliders">
          ${this.columns.map((column, i) => slider({label: this.columns.length > 1 ? `Temperature, ${'left right'.split(' ')[i]}` : 'Temperature', min: 0, max: 2, step: 0.05,
    value: column.temperature, show: (t) => t.toFixed(2), change: (t) => { column.temperature = t; this.requestUpdate(); }}))}
          ${slider({label: 'Top-k', min: 0, max: 50, value: this.shared.top_k, show: (k) => (k ? String(k) : 'all'), change: set('top_k')})}
          ${slider({label: 'Top-p', min: 0.05, max: 1, step: 0.05, value: this.shared.top_p, show: (p) => p.toFixed(2), change: set('top_p')})}
          ${slider({label: 'Seed', min: 0, max: 99, value: this.shared.seed, change: set('seed')})}
          ${slider({label: 'Length', min: 50, max: 2000, step: 50, value: this.shared.max_tokens, change: set('max_tokens')})}
        </div>
        ${this.columns[1]?.name === NGRAM ? this.ngramFields() : nothing}
        ${pairs.length ? html`<p class="actions"><span class="label">Cells of the same size, on the same text</span>
          ${pairs.map(([label, names]) => html`<button type="button" class="quiet" ?disabled=${this.busy} @click=${() => this.compare(names)}>${label}</button>`)}</p>` : nothing}
        <p class="actions"><button class="button" type="submit" ?disabled=${!this.models || this.busy}>Write</button>
          <button class="button second" type="button" ?disabled=${!this.busy} @click=${() => this.stop()}>Stop</button>
          ${copyButton('Copy as curl', () => curl('generate-text', {json: this.body(this.columns[0])}))}
          <span class="away" role="status">${this.busy ? 'Writing' : this.columns[0].end ? 'Written' : ''}</span></p>
      </form>
      <div class="columns" data-count=${this.columns.length}>${this.columns.map((column) => this.column(column))}</div>`;
  }

  title({name}) {
    return name === NGRAM ? `${this.order}-gram` : name ?? '…';
  }

  ngramFields() {
    const read = async ({target}) => {
      if (!target.files[0]) return;
      this.stop();  // what the writer may be writing to be counted
      this.counted = await target.files[0].text();
    };
    return html`<div class="ngram">
      ${slider({label: 'Characters in an n-gram', min: 1, max: 12, value: this.order, change: (n) => { this.order = n; }})}
      <p>Counted in this page from <b>${this.counted.length.toLocaleString('en')}</b> characters:</p>
      <button type="button" class="quiet" ?disabled=${this.busy} @click=${() => this.count()}>Let the writer write 10,000</button>
      <label class="field">or a text of yours<input type="file" accept="text/*,.txt,.c,.tex" @change=${read}></label></div>`;
  }

  column(column) {
    const token = column.tokens[(column.picked ?? 0) - 1];
    const mean = column.tokens.length ? column.tokens.reduce((sum, {logprob}) => sum + logprob, 0) / column.tokens.length : null;
    return html`<section class="written" aria-label="Written by ${column.by ?? this.title(column)}">
      <h2>${column.by ?? this.title(column)}</h2>
      <token-text class="sheet" aria-label="Text of ${column.by ?? this.title(column)}; arrow keys move through it" ${ref(column.view)}
        @pick=${({detail}) => { column.picked = detail; this.requestUpdate(); }}></token-text>
      <p class="number">${column.end ?? (this.busy ? 'writing …' : '')}${mean === null ? '' : ` · ${(-mean).toFixed(2)} nats a token`}</p>
      <div class="detail" aria-live="polite">${token ? html`<p><b>${shown(token.token)}</b> had a probability of
        <b>${probability(token.logprob)}</b> <span class="number">logprob ${token.logprob.toFixed(3)}</span></p>
        ${alternatives({token: token.token, top_logprobs: token.top})}`
    : html`<p class="hint">Point at a token, or walk through the text with the arrow keys.</p>`}</div>
    </section>`;
  }
}

customElements.define('write-part', WritePart);
