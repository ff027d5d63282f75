// The network unrolled: what one unit and its gates do, token by token.

import {html, nothing} from './vendor/lit.js';
import {call, curl} from './api.js';
import {examples, loadExamples} from './examples.js';
import {Part, copyButton, errorBox} from './part.js';
import {session} from './session.js';
import {inWords, kindOf, leadOf, stepsTable, unrolled} from './unrolled.js';

const MOST = 120;  // tokens that are drawn

const START = '<START>';

class StepsPart extends Part {
  static properties = {
    models: {}, busy: {}, error: {}, model: {}, text: {}, unit: {}, result: {}, at: {}, gallery: {},
  };

  constructor() {
    super();
    // The number as it is typed, so that the field can be empty for a moment.
    Object.assign(this, {model: 'shakespeare', text: 'ROMEO:\nO, she doth teach', unit: '0', at: 0});
    session.addEventListener('change', () => { if (!this.hidden) this.follow(); });
  }

  async opened() {
    this.gallery ??= await loadExamples().catch(() => null);
    if (!this.models) {
      const found = await this.attempt(async (signal) => {
        const {models} = await call('models', {signal});
        return Promise.all(models.map(({name}) => call(`models/${name}`, {signal})));
      });
      if (!found?.length) return;
      this.models = found;
      // A caption on screen is what somebody who comes here wants to see unrolled.
      const captioner = found.find(({kind}) => kind === 'captioner');
      const writer = found.find(({name}) => name === this.model) ?? found.find(({kind}) => kind === 'text');
      this.model = (captioner && (session.captions.length || !writer) ? captioner : writer).name;
      if (!this.isCaptioner) {
        this.unroll();
        return;
      }
      this.unit = String(captioner.decoder.hidden_size);  // the first that says what to say
    }
    this.follow();
  }

  get detail() {
    return this.models?.find(({name}) => name === this.model);
  }

  get isCaptioner() {
    return this.detail?.kind === 'captioner';
  }

  get cell() {
    return (this.isCaptioner ? this.detail.decoder : this.detail?.network)?.cell ?? 'lstm';
  }

  /** How many units the network has. */
  get units() {
    if (!this.detail) return 1;
    if (!this.isCaptioner) return this.detail.network.layers * this.detail.network.hidden_size;
    const {kind, hidden_size: size} = this.detail.decoder;
    return kind === 'attention' ? 2 * size : size;
  }

  get number() {
    return Math.max(0, Math.min(Math.trunc(Number(this.unit)) || 0, this.units - 1));
  }

  /** The request that is behind the drawing. */
  get request() {
    const {model, text, number} = this;
    return this.isCaptioner
      ? ['score', {form: {image: session.photo.file, text, unit: number}}]
      : ['activations', {json: {model, text, units: [number], gates: true}}];
  }

  /** The words of the caption on screen. */
  get caption() {
    const words = session.captions[session.chosen]?.tokens.map(({token}) => token);
    return words?.filter((word) => word !== '<END>').join(' ');
  }

  /** Unroll the caption on screen, if it is another one than before. */
  follow() {
    this.requestUpdate();
    if (!this.isCaptioner || !this.caption) return;
    if (this.followed === this.caption && this.seen === session.photo) return;
    Object.assign(this, {followed: this.caption, seen: session.photo, text: this.caption, at: 0});
    this.unroll();
  }

  choose(name) {
    this.model = name;
    this.unit = String(this.number);  // the other one may have had more
    this.followed = null;
    if (!this.isCaptioner) this.unroll();
    else if (this.caption) this.follow();
    else this.result = null;
  }

  async unroll(event) {
    event?.preventDefault();
    if (!this.text.trim() || (this.isCaptioner && !session.photo)) return;
    const {model, text, isCaptioner, request: [path, options]} = this;
    const result = await this.attempt(async (signal) => {
      const answer = call(path, {...options, signal});
      if (isCaptioner) return ofCaption(await answer);
      const score = call('score', {json: {model, text}, signal});
      const [activations, {tokens}] = await Promise.all([answer, score]);
      return ofText(activations, tokens);
    });
    if (result) Object.assign(this, {result: {...result, model}, at: Math.min(this.at, result.tokens.length - 1)});
  }

  /** Let the language model that reads words read the caption on screen. */
  takeCaption(name) {
    Object.assign(this, {model: name, text: this.caption, at: 0});
    this.unroll();
  }

  render() {
    const words = this.models?.find(({level}) => level === 'word');
    return html`<h1>The network unrolled</h1>
      <p class="lead">One unit of a recurrent network, drawn once for each token that it reads. ${leadOf(this.cell)}</p>
      ${errorBox(this.error)}
      <form class="sheet asks" @submit=${(event) => this.unroll(event)}>
        <div class="fields">
          <label class="field">Network<select @change=${({target}) => this.choose(target.value)}>
            ${(this.models ?? []).map(({name}) => html`<option value=${name} .selected=${name === this.model}>${name}</option>`)}</select></label>
          <label class="field">Unit, 0 to ${this.units - 1}<input type="number" min="0" max=${this.units - 1} .value=${this.unit}
            @input=${({target}) => { this.unit = target.value; this.soon(() => this.unroll(), 250); }}></label>
          <label class="field wide">${this.isCaptioner ? 'Caption' : 'Text'}<textarea rows="2" maxlength="1000" .value=${this.text}
            @input=${({target}) => { this.text = target.value; }}></textarea></label>
        </div>
        <p class="actions"><button class="button" type="submit" ?disabled=${!this.models || this.busy || (this.isCaptioner && !session.photo)}>Unroll</button>
          ${this.caption && words && !this.isCaptioner ? html`<button type="button" class="quiet" @click=${() => this.takeCaption(words.name)}>The caption “${this.caption}”</button>` : nothing}
          ${this.isCaptioner && !session.photo ? nothing : copyButton('Copy as curl', () => curl(...this.request))}
          <span class="hint" role="status">${this.busy ? 'Reading …' : ''}</span></p>
        ${this.isCaptioner ? this.about() : nothing}
      </form>
      ${this.isCaptioner && !session.photo ? html`<p class="ask">It reads words beside a photograph: choose one.</p>
        ${examples(this.gallery)}` : this.result ? this.drawing() : nothing}`;
  }

  /** What the units of the captioner are. */
  about() {
    const {kind, hidden_size: size} = this.detail.decoder;
    return html`<div class="beam-head">
      ${session.photo ? html`<img src=${session.photo.url} alt="The photograph that is described" height="90">` : nothing}
      <p class="hint">${kind === 'attention' ? html`It has two cells: units 0 to ${size - 1} decide where to look,
        ${size} to ${2 * size - 1} what to say.` : html`All its units decide what to say.`} Before the first word
        the photograph has set what each of them begins with.</p></div>`;
  }

  drawing() {
    const {tokens, gates, name, next, model} = this.result;
    if (!tokens.length) return nothing;
    const kind = kindOf(gates);
    const steps = [];
    tokens.slice(0, MOST).forEach((token, t) => steps.push({
      token, t, next: next[t], before: steps[t - 1],
      ...Object.fromEntries(Object.keys(kind.columns).map((gate) => [gate, gates[gate][t]]))}));
    return html`<h2 class="unit-name">${name} of ${model}</h2>
      ${unrolled(steps, kind, this.at, (t) => { this.at = t; })}
      ${tokens.length > MOST ? html`<p class="hint">The first ${MOST} of ${tokens.length} tokens are drawn.</p>` : nothing}
      <div class="detail tree-detail" aria-live="polite">${inWords(steps[this.at], kind)}</div>
      ${stepsTable(steps, kind)}`;
  }
}

/** A language model reads each token, and gives the next one. */
function ofText({tokens, units: [{gates, name}]}, scores) {
  return {tokens, gates, name, next: scores.slice(1)};
}

/** A captioner reads the start and all words but the last, and gives each word. */
function ofCaption({tokens, unit: {gates, name}}) {
  return {tokens: [START, ...tokens.slice(0, -1).map(({token}) => token)], gates, name, next: tokens};
}

customElements.define('steps-part', StepsPart);
