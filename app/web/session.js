// What the parts share: the photograph on screen and its captions.

/** `photo`: {file, url}; `captions`: as the API gave them; `chosen`: which one is looked at. */
export const session = Object.assign(new EventTarget(), {
  photo: null,
  options: {},
  captions: [],
  chosen: 0,
});

export function changed() {
  session.dispatchEvent(new Event('change'));
}
