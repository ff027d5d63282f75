// A long text whose tokens are coloured, and can be pointed at or walked through with arrow keys.

/**
 * Fires `pick` with the index of the token that is pointed at, or null.
 * Screen readers get the plain text; the coloured one is hidden from them.
 */
class TokenText extends HTMLElement {
  connectedCallback() {
    if (this.shownText) return;
    this.tokens = [];
    this.cursor = null;
    this.tabIndex = 0;
    this.setAttribute('role', 'group');
    this.plain = Object.assign(document.createElement('p'), {className: 'away'});
    this.shownText = document.createElement('pre');
    this.shownText.ariaHidden = 'true';
    this.append(this.plain, this.shownText);
    this.addEventListener('pointerover', ({target}) => this.pointAt(target));
    this.addEventListener('click', ({target}) => this.pointAt(target));
    this.addEventListener('keydown', (event) => this.move(event));
  }

  clear() {
    this.tokens = [];
    this.pick(null);
    this.shownText.replaceChildren();
    this.plain.textContent = '';
  }

  /** Add tokens: {text, style, className}. */
  add(tokens) {
    const spans = tokens.map(({text, style = '', className = ''}) => {
      const span = document.createElement('span');
      span.textContent = text;
      span.className = className;
      span.style.cssText = style;
      return span;
    });
    this.shownText.append(...spans);
    this.tokens.push(...tokens);
  }

  /** Colour the tokens anew; one style each. */
  restyle(styles) {
    [...this.shownText.children].forEach((span, i) => { span.style.cssText = styles[i] ?? ''; });
  }

  /** The text is complete: let screen readers have it. */
  done() {
    this.plain.textContent = this.tokens.map(({text}) => text).join('');
  }

  pointAt(target) {
    if (target.parentElement !== this.shownText) return;
    this.pick([...this.shownText.children].indexOf(target));
  }

  pick(index) {
    this.shownText.children[this.cursor]?.classList.remove('picked');
    this.cursor = index;
    this.shownText.children[index]?.classList.add('picked');
    this.dispatchEvent(new CustomEvent('pick', {detail: index}));
  }

  move(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity}[event.key];
    if (!step || !this.tokens.length) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(this.tokens.length - 1, (this.cursor ?? -1) + step));
    this.pick(next);
    this.shownText.children[next].scrollIntoView({block: 'nearest'});
  }
}

customElements.define('token-text', TokenText);
