// Ways in for photographs: drop, paste, choose, camera.

import {html, nothing} from './vendor/lit.js';

/** Photographs dropped on the page or pasted anywhere go to `open(files)`, while `part` is shown. */
export function intake(part, open) {
  const show = (files) => {
    if (!files.length) return;
    location.hash = 'describe';
    open(files);
  };
  addEventListener('dragover', (event) => {
    event.preventDefault();
    part.dropping = true;
    document.body.classList.add('dropping');
  });
  const over = () => {
    part.dropping = false;
    document.body.classList.remove('dropping');
  };
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) over(); });
  addEventListener('drop', async (event) => {
    event.preventDefault();
    over();
    show(await dropped(event.dataTransfer));
  });
  addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) event.preventDefault();
    show(files);
  });
}

/** The files that were dropped, those in folders too. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = await Promise.all(entries.map(filesOf));
  return files.flat().filter((file) => file.type.startsWith('image/') || /\.(heic|avif|tiff?)$/i.test(file.name));
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {  // a reader returns at most a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

export function intakeButtons(part) {
  const chosen = ({target}) => {
    const files = [...target.files];
    target.value = '';
    if (files.length) part.open(files);
  };
  return html`<div class="intake">
    <label class="button"><input type="file" multiple accept="image/*,.heic,.heif,.tif,.tiff" @change=${chosen}>
      Choose a photograph</label>
    ${navigator.mediaDevices?.getUserMedia ? html`<button type="button" class="button second"
      @click=${() => photograph(part)}>Use the camera</button>` : nothing}
    <span class="hint">or drop or paste it; several give a table</span>
    <dialog class="camera" aria-label="Camera"><video autoplay playsinline muted></video>
      <p><button type="button" class="button" data-take>Take the photograph</button>
      <button type="button" class="quiet" data-close>Close</button></p></dialog>
  </div>`;
}

/** Show the camera, and open what it sees when the button is pressed. */
async function photograph(part) {
  const dialog = part.querySelector('.camera');
  const video = dialog.querySelector('video');
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (error) {
    part.error = new Error(error.name === 'NotAllowedError'
      ? 'The browser was not allowed to use the camera.' : 'No camera was found.');
    return;
  }
  video.srcObject = stream;
  dialog.onclose = () => stream.getTracks().forEach((track) => track.stop());
  dialog.querySelector('[data-close]').onclick = () => dialog.close();
  dialog.querySelector('[data-take]').onclick = async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext('2d').drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({type: 'image/jpeg', quality: 0.92});
    dialog.close();
    part.open([new File([blob], 'camera.jpg', {type: blob.type})]);
  };
  dialog.showModal();
}
