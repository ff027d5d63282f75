// Describe: a photograph in; captions, and how they came about, out.

import {html, nothing} from './vendor/lit.js';
import {caption, captionQuery, curl} from './api.js';
import {words, wordDetail, wordTable} from './caption-view.js';
import {examples, loadExamples} from './examples.js';
import {ownCaption} from './own-caption.js';
import {Part, copyButton, errorBox, slider} from './part.js';
import {photoView} from './photo-view.js';
import {intake, intakeButtons} from './intake.js';
import {changed, session} from './session.js';
import {folderTable} from './folder.js';
import {percent, verdict} from './wording.js';

const MOST_TAGS = 10;

const SEARCH = {beam_size: 3, num_captions: 3, max_length: 20, length_penalty: 0.8, consensus: true};
const DRAWING = {temperature: 0.8, top_p: 1, num_captions: 3, max_length: 20, seed: 1};

class DescribePart extends Part {
  static properties = {
    busy: {}, error: {}, result: {}, chosen: {}, word: {}, drawing: {}, search: {}, draws: {},
    gallery: {}, dropping: {}, own: {}, files: {}, table: {},
  };

  constructor() {
    super();
    Object.assign(this, {chosen: 0, word: null, drawing: false, search: {...SEARCH},
      draws: {...DRAWING}, own: [], files: null, table: false, turn: 0});
    intake(this, (files) => this.open(files));
    loadExamples().then((gallery) => { this.gallery = gallery; }, (error) => { this.error = error; });
  }

  get options() {
    return this.drawing ? this.draws : this.search;
  }

  /** Describe what was dropped: one photograph here, several as a table. */
  open(files) {
    this.turn += 1;
    this.table = files.length > 1;
    if (this.table) {
      this.files = files;
      return;
    }
    if (session.photo) URL.revokeObjectURL(session.photo.url);
    Object.assign(session, {photo: {file: files[0], url: URL.createObjectURL(files[0])}, captions: [], chosen: 0});
    Object.assign(this, {own: [], result: null, error: null});
    this.describe();
    changed();
  }

  /** Open a photograph that is still to come, unless another one is opened before. */
  async openLater(coming) {
    this.turn += 1;
    const {turn} = this;
    try {
      const file = await coming;
      if (turn === this.turn) this.open([file]);
    } catch {
      this.error = new Error('The photograph cannot be loaded: is the service still running?');
    }
  }

  opened() {
    if (!this.result && !this.busy) this.describe();
  }

  /** Captions first; what there is to say of each word once they are on screen. */
  async describe() {
    if (!session.photo) return;
    const {options} = this;
    const {file} = session.photo;
    await this.attempt(async (signal) => {
      for (const details of [false, true]) {
        const result = await caption(file, options, {signal, details});
        signal.throwIfAborted();
        if (!details) {
          Object.assign(this, {chosen: 0, word: null, error: null});
          Object.assign(session, {chosen: 0, options});
        }
        this.result = result;
        session.captions = result.captions;
        changed();
      }
    });
  }

  set(name, value) {
    const kind = this.drawing ? 'draws' : 'search';
    const options = {...this[kind], [name]: value};
    // A beam holds no more captions than its size.
    if (name === 'beam_size') options.num_captions = Math.min(options.num_captions, value);
    if (name === 'num_captions' && !this.drawing) options.beam_size = Math.max(options.beam_size, value);
    this[kind] = options;
    this.soon(() => this.describe());
  }

  choose(index) {
    Object.assign(this, {chosen: index, word: null});
    session.chosen = index;
    changed();
  }

  render() {
    if (this.table) return html`<h1 class="away">Describe</h1>${folderTable(this)}`;
    if (!session.photo) return this.welcome();
    return html`<h1 class="away">Describe</h1>
      ${this.files ? html`<p class="back"><button type="button" class="quiet" @click=${() => { this.table = true; }}>◀ Back to the table of ${this.files.length} photographs</button></p>` : nothing}
      <div class="describe">
        <div class="sees">${this.photograph()}${intakeButtons(this)}</div>
        <div class="says">${errorBox(this.error)}${this.captions()}${this.controls()}</div>
        ${this.result ? ownCaption(this) : nothing}
      </div>
      <section class="again"><h2>Other photographs</h2>${examples(this.gallery, 3)}</section>`;
  }

  welcome() {
    return html`<section class="welcome ${this.dropping ? 'dropping' : ''}">
        <h1>What does a small network see in your photograph?</h1>
        <p>Drop one anywhere on this page. You get its description, how sure the network is of every
          word, and where it looked.</p>
        ${intakeButtons(this)}${errorBox(this.error)}
      </section>
      ${examples(this.gallery)}`;
  }

  photograph() {
    const best = this.result?.captions[this.chosen];
    const token = best?.tokens[this.word];
    return photoView(session.photo, {
      alt: best ? best.text : 'Your photograph',
      size: this.result?.image,
      grid: token?.attention ?? null,
      word: token ? (token.token === '<END>' ? 'the end' : token.token) : '',
    });
  }

  captions() {
    if (!this.result) {
      return html`<div class="captions waiting" aria-live="polite">
        ${this.busy ? html`<p class="hint">Looking …</p>` : nothing}</div>`;
    }
    const {captions, timing_ms: timing, tags, model, model_version: version, seed} = this.result;
    const best = captions[this.chosen];
    return html`<section class="captions" aria-busy=${Boolean(this.busy)} aria-label="Captions">
      <p class="away" aria-live="polite">${captions[0].text}</p>
      ${words(best.tokens, {label: 'The words of the caption', chosen: this.word,
    choose: (i) => { this.word = i; }})}
      ${confidence(best)}
      ${wordDetail(best.tokens[this.word])}
      ${captions.length > 1 ? html`<ol class="nbest" aria-label="All captions">
        ${captions.map((one, i) => html`<li><button type="button" aria-pressed=${i === this.chosen}
          @click=${() => this.choose(i)}><span>${one.text}${one.finished ? '' : ' …'}</span>
          ${meter(one)}</button></li>`)}</ol>` : nothing}
      ${tags?.length ? html`<p class="tags"><span class="label">It detects</span>
        ${tags.slice(0, MOST_TAGS).map((tag) => html`<span class="tag">${tag.word} <span class="number">${percent(tag.probability)}</span></span>`)}</p>` : nothing}
      <p class="actions">
        ${copyButton('Copy as alt text', () => best.alt_text)}
        ${copyButton('Copy as curl', () => curl('caption', {query: captionQuery(this.options), form: {image: session.photo.file}}))}
        <span class="number">${model} ${version} · ${Math.round(timing.total)} ms${seed === undefined ? '' : ` · seed ${seed}`}</span></p>
      ${wordTable(best.tokens)}
    </section>`;
  }

  controls() {
    const {options} = this;
    const control = (name, label, min, max, step, show) => slider({label, min, max, step, show,
      value: options[name], change: (value) => this.set(name, value)});
    return html`<section class="controls" aria-label="How captions are found">
      <fieldset class="switch"><legend class="away">How captions are found</legend>
        ${[[false, 'Search for the likeliest'], [true, 'Draw at random']].map(([value, label]) => html`
          <label><input type="radio" name="how" .checked=${this.drawing === value}
            @change=${() => { this.drawing = value; this.describe(); }}><span>${label}</span></label>`)}
      </fieldset>
      <div class="sliders">
      ${this.drawing ? html`
        ${control('temperature', 'Temperature', 0, 2, 0.05, (t) => t.toFixed(2))}
        ${control('top_p', 'Top-p', 0.05, 1, 0.05, (p) => p.toFixed(2))}
        ${control('num_captions', 'Captions', 1, 10)}
        ${control('seed', 'Seed', 0, 99)}` : html`
        ${control('beam_size', 'Beam size', 1, 10)}
        ${control('num_captions', 'Captions', 1, 10)}
        ${control('max_length', 'Most words', 2, 30)}
        ${control('length_penalty', 'Favour long ones', 0, 2, 0.1, (p) => p.toFixed(1))}`}
      </div>
      <label class="check"><input type="checkbox" .checked=${Boolean(options.gender_neutral)}
        @change=${({target}) => this.set('gender_neutral', target.checked || null)}>
        Say “person” for men and women, in the list and the alt text</label>
      ${this.drawing ? nothing : html`<label class="check"><input type="checkbox" .checked=${options.consensus}
        @change=${({target}) => this.set('consensus', target.checked)}>
        Prefer the words that people would use</label>`}
    </section>`;
  }
}

function confidence(one) {
  const chance = Math.exp(one.logprob);
  if (one.confidence === undefined) {
    return html`<p class="confidence"><span>${one.finished ? 'Drawn at random: no confidence is known.' : 'Cut off before its end.'}</span>
      <span class="number">logprob ${one.logprob.toFixed(2)}</span></p>`;
  }
  return html`<p class="confidence">${bar(one.confidence)}
    <span><b>${percent(one.confidence)}</b> ${verdict(one.confidence)}</span>
    <span class="number" title="The probability of exactly these words">logprob ${one.logprob.toFixed(2)}, ${percent(chance)}</span></p>`;
}

const bar = (value) => html`<span class="bar confident" .style=${`--part: ${value}`} data-level=${
  value >= 0.55 ? 'good' : value >= 0.35 ? 'fair' : 'poor'} aria-hidden="true"></span>`;

function meter(one) {
  return one.confidence === undefined
    ? html`<span class="number">${one.logprob.toFixed(2)}</span>`
    : html`${bar(one.confidence)}<span class="number">${percent(one.confidence)}</span>`;
}

customElements.define('describe-part', DescribePart);
