// Keeps a page up to date: asks for the same page again and puts what has changed in place. Everything works without it.
'use strict';
(() => {
  const EVERY = 3000;
  const main = document.getElementById('main');
  const place = document.getElementById('live');
  if (!main || !place || !document.getElementById('as-of')) return;

  const button = document.createElement('button');
  button.type = 'button';
  button.id = 'live-switch';
  // Told to screen readers only when it changes: not every few seconds.
  const state = document.createElement('span');
  state.setAttribute('role', 'status');
  place.append(state, button);

  let tag = null;
  let paused = false;
  let failing = false;

  const say = () => {
    const text = paused ? 'Paused.' : failing ? 'No answer: the controller may have ended.' : 'Live.';
    if (state.textContent !== text) state.textContent = text;
    button.textContent = paused ? 'Go on with live updates' : 'Pause live updates';
  };

  // Whoever reads, types or selects is not to be disturbed.
  const busy = () => {
    const active = document.activeElement;
    const selection = document.getSelection();
    return (active && main.contains(active) && active.matches('input, select')) ||
      (selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  };

  // What has the focus, to be found again: among those that lead to the same place or are called the same, which one.
  const alike = (one) => [...main.querySelectorAll(one.tagName)].filter((other) =>
    other.getAttribute('href') === one.getAttribute('href') &&
    other.getAttribute('aria-label') === one.getAttribute('aria-label'));

  const replace = (page) => {
    const next = page.getElementById('main');
    if (!next) return;
    const active = document.activeElement;
    const focused = active && active !== main && main.contains(active) ? active : null;
    const which = focused ? alike(focused).indexOf(focused) : 0;
    const open = new Set([...main.querySelectorAll('details[open]')].map((one) => one.id));
    const aside = new Map([...main.querySelectorAll('.wide')].map((one, index) => [index, one.scrollLeft]));
    main.replaceChildren(...next.childNodes);
    main.querySelectorAll('details').forEach((one) => { one.open = open.has(one.id); });
    main.querySelectorAll('.wide').forEach((one, index) => { one.scrollLeft = aside.get(index) || 0; });
    const again = focused && alike(focused)[which];
    if (again) again.focus({ preventScroll: true });
    document.title = page.title;
    const note = (of) => of.querySelector('.note.warn');
    const [was, is] = [note(document), note(page)];
    if (was && !is) was.remove();
    if (!was && is) main.before(is);
  };

  const look = async () => {
    if (paused || document.hidden || busy()) return;
    try {
      const headers = tag ? { 'If-None-Match': tag } : {};
      const answer = await fetch(location.href, { headers, cache: 'no-store', redirect: 'error' });
      failing = false;
      if (answer.ok) {
        const text = await answer.text();
        if (paused || busy()) return;
        const page = new DOMParser().parseFromString(text, 'text/html');
        const at = page.getElementById('as-of');
        if (at) document.getElementById('as-of').replaceChildren(...at.childNodes);
        if (tag !== answer.headers.get('etag')) replace(page);
        tag = answer.headers.get('etag');
      } else if (answer.status !== 304) {
        failing = answer.status >= 500;
      }
    } catch {
      failing = true;
    }
    say();
  };

  button.addEventListener('click', () => { paused = !paused; say(); look(); });
  document.addEventListener('visibilitychange', look);
  say();
  const again = () => look().finally(() => setTimeout(again, EVERY));
  setTimeout(again, EVERY);
})();
