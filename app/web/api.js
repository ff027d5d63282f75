// The service's API: the only thing that the page talks to.

const base = new URL('.', document.baseURI);

/** The last requests to the models, newest first: {path, ms, timing, status}. */
export const recent = [];

/** Tells of `recent` ("request") and of whether the service answers ("connection"). */
export const events = new EventTarget();

export class ApiError extends Error {
  constructor(message, {code = '', status = 0, retryAfter = null} = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const LOST = 'The service does not answer. Is it still running?';

let connection = 'connecting';

function setConnection(state) {
  if (state === connection) return;
  connection = state;
  events.dispatchEvent(new CustomEvent('connection', {detail: state}));
}

/** Keep an eye on the service: every five seconds, every second while it is away. */
export async function watch() {
  for (;;) {
    if (!document.hidden) {
      try {
        const response = await fetch(new URL('health/ready', base), {cache: 'no-store'});
        setConnection(response.ok ? 'ready' : 'loading');
      } catch {
        setConnection('lost');
      }
    }
    await new Promise((resolve) => setTimeout(resolve, connection === 'ready' ? 5000 : 1000));
  }
}

function address(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  return url;
}

async function send(path, {query, json, form, signal} = {}) {
  const options = {signal};
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = {'Content-Type': 'application/json'};
  } else if (form) {
    options.body = new FormData();
    for (const [name, value] of Object.entries(form)) options.body.append(name, value);
  }
  if (options.body) options.method = 'POST';
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    setConnection('lost');
    throw new ApiError(LOST, {code: 'lost'});
  }
  if (!response.ok) {
    const error = await response.json().then((body) => body.error, () => null);
    throw new ApiError(error?.message ?? `The service answered ${response.status}.`, {
      code: error?.code,
      status: response.status,
      retryAfter: response.headers.get('Retry-After'),
    });
  }
  return response;
}

function record(path, started, timing) {
  recent.unshift({path, ms: performance.now() - started, timing, at: new Date()});
  recent.length = Math.min(recent.length, 50);
  events.dispatchEvent(new Event('request'));
}

/** Send a request and return its JSON. POSTs if there is a body (`json` or `form`). */
export async function call(path, options = {}) {
  const started = performance.now();
  const response = await send(path, options);
  const body = await response.json();
  if (body.timing_ms) record(path, started, body.timing_ms);
  return body;
}

/** Send a request whose answer is server-sent events, and yield each as it arrives. */
export async function* stream(path, options) {
  const started = performance.now();
  const response = await send(path, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  try {
    for (;;) {
      let read;
      try {
        read = await reader.read();
      } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new ApiError('The service stopped in the middle of its answer.', {code: 'lost'});
      }
      if (read.done) throw new ApiError('The answer ended too early.', {code: 'lost'});
      pending += read.value;
      const parts = pending.split('\n\n');
      pending = parts.pop();
      for (const part of parts) {
        const data = part.replace(/^data: ?/, '');
        if (data === '[DONE]') return;
        const event = JSON.parse(data);
        if (event.error) throw new ApiError(event.error.message, {code: event.error.code});
        if (event.timing_ms) record(path, started, event.timing_ms);
        yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** The same request as a command line. A file in `form` is named, and has to be there. */
export function curl(path, {query, json, form} = {}) {
  const words = ['curl', quote(address(path, query))];
  if (json !== undefined) {
    words.push('-H', quote('Content-Type: application/json'), '-d', quote(JSON.stringify(json)));
  }
  for (const [name, value] of Object.entries(form ?? {})) {
    const [option, text] = value instanceof Blob
      ? ['-F', `${name}=@${value.name || 'photograph.jpg'}`] : ['--form-string', `${name}=${value}`];
    words.push(option, quote(text));
  }
  return words.join(' ');
}

// What a captioner can do depends on its bundle: {supports, calibration}.
let captioner = null;
let asked = null;  // while it is being found out

/** Find out what the captioner can do: as soon as it is ready, so that no photograph waits for it. */
export async function meetCaptioner() {
  asked ??= call('models').then(async ({models}) => {
    const found = models.find(({kind}) => kind === 'captioner');
    // Without one, the service itself says so best.
    if (found) captioner = await call(`models/${found.name}`);
  }).finally(() => { asked = null; });
  await asked;
}

/** The query of a caption request; `details`: all that can be said of each word. */
export function captionQuery(options, details = true) {
  const more = {style: 'alt'};
  const supports = captioner?.supports ?? [];
  if (supports.includes('tags')) more.tags = true;
  if (details) Object.assign(more, {attention: true, top_logprobs: 5});
  if (details && supports.includes('image_gain')) more.image_gain = true;
  // Captions that are drawn have no confidence.
  if (captioner?.calibration && options.temperature === undefined) {
    Object.assign(more, {min_confidence: 0.35, below: 'hedge'});
  }
  const {consensus, ...others} = options;
  if (consensus !== undefined && supports.includes('consensus')) others.consensus = consensus;
  return {...others, ...more};
}

/** Caption a photograph; without `details` in half the time. */
export async function caption(image, options, {signal, details = false} = {}) {
  if (!captioner) await meetCaptioner();
  signal?.throwIfAborted();
  return call('caption', {query: captionQuery(options, details), form: {image}, signal});
}
