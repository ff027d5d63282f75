// What the parts of the page have in common.

import {LitElement, html, nothing} from './vendor/lit.js';
import {ApiError} from './api.js';
import {copy} from './wording.js';

/** A part of the page: a Lit element without a shadow, so that one style sheet is enough. */
export class Part extends LitElement {
  createRenderRoot() {
    return this;
  }

  /**
   * Run `work(signal)` in place of what the part was doing; its error is shown in the part.
   * Returns undefined if it failed or something else took its place, which nothing does that runs
   * in another `lane`: only the main one makes the part `busy`.
   */
  async attempt(work, lane = 'main') {
    this.controllers ??= {};
    this.controllers[lane]?.abort();
    const controller = this.controllers[lane] = new AbortController();
    if (lane === 'main') this.busy = true;
    try {
      const result = await work(controller.signal);
      if (controller.signal.aborted) return undefined;
      this.error = null;
      return result;
    } catch (error) {
      if (error.name === 'AbortError' || controller.signal.aborted) return undefined;
      this.error = error;
      this.updateComplete.then(() => this.querySelector('.error')?.scrollIntoView({block: 'nearest'}));
      if (!(error instanceof ApiError)) console.error(error);
      return undefined;
    } finally {
      if (lane === 'main' && this.controllers.main === controller) this.busy = false;
      this.requestUpdate();
    }
  }

  stop() {
    this.controllers?.main?.abort();
    this.busy = false;
    this.requestUpdate();
  }

  /** Run `work` once nothing has asked for it again for some milliseconds. */
  soon(work, delay = 120) {
    clearTimeout(this.timer);
    this.timer = setTimeout(work, delay);
  }
}

export function errorBox(error) {
  if (!error) return nothing;
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : '';
  const message = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  return html`<p class="error" role="alert">${message}${message.endsWith('.') ? '' : '.'}${wait}</p>`;
}

/** A button that copies a text and says so. */
export function copyButton(label, text) {
  const run = async ({currentTarget: button}) => {
    await copy(text());
    button.querySelector('[role=status]').textContent = ' ✓ copied';
    setTimeout(() => { button.querySelector('[role=status]').textContent = ''; }, 1500);
  };
  return html`<button type="button" class="quiet" @click=${run}>${label}<span role="status"></span></button>`;
}

/** A slider with its value beside it. */
export function slider({label, value, min, max, step = 1, change, show = String, hint = nothing}) {
  return html`<label class="slider"><span>${label} <span class="value" aria-hidden="true">${show(value)}</span></span>
    <input type="range" min=${min} max=${max} step=${step} .value=${String(value)}
      aria-valuetext=${show(value)}
      @input=${(event) => change(Number(event.target.value))}>${hint}</label>`;
}
