// Looks at the pages with a headless Chromium, and prints as one line of JSON what it saw. What is right is the test's
// to say (tests/it/web/browser.rs).
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync, mkdirSync } from 'node:fs';

const [what, base] = process.argv.slice(2);
const modules = process.env.PLIMSOLL_BROWSER_MODULES;
const require = createRequire(`${modules}/`);
const { chromium } = require(`${modules}/playwright-core`);

const browser = await chromium.launch({
  executablePath: process.env.PLIMSOLL_CHROMIUM,
  // Root has no sandbox of Chromium's, and /dev/shm may be small; it opens nothing but our own pages.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (name) => { console.log(`now ${name}`); await lines.next(); };

const open = async (options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(60_000);
  return context;
};

// One page of each kind, found by the links.
const kinds = async (page) => {
  const first = async (from, pattern) => {
    await page.goto(base + from);
    const links = await page.locator('main a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    return links.find((link) => pattern.test(link));
  };
  await page.goto(`${base}/rollouts`);
  const rollout = await first('/rollouts', /^\/rollout\?/);
  const service = await first(rollout, /^\/service\?/);
  const policy = await first('/', /^\/policy\?/);
  const cluster = await first('/', /^\/cluster\?/);
  return ['/', '/services', '/findings', '/rollouts', '/waivers', '/events', rollout, service, policy, cluster];
};

const tooWide = (page) => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  const inTable = (one) => one.closest('.wide');
  return [...document.querySelectorAll('body *')]
    .filter((one) => !inTable(one) && !one.closest('.skip') && one.getBoundingClientRect().right > width + 1)
    .map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`).slice(0, 5);
});

const looks = {
  async visit() {
    const context = await open();
    const page = await context.newPage();
    const [complaints, elsewhere, pages] = [[], [], []];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    // Who goes on to the next page breaks off what the last one still loads: no complaint.
    page.on('requestfailed', (request) => {
      const why = request.failure().errorText;
      if (why !== 'net::ERR_ABORTED') complaints.push(`${why}: ${request.url()}`);
    });
    page.on('request', (request) => { if (!request.url().startsWith(base)) elsewhere.push(request.url()); });
    for (const path of await kinds(page)) {
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.goto(base + path);
      // On a screen of a usual width nothing has to be scrolled sideways.
      const cut = await page.evaluate(() => [...document.querySelectorAll('.wide')]
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.getAttribute('aria-label')));
      await page.setViewportSize({ width: 360, height: 740 });
      pages.push({ path, cut, tooWide: await tooWide(page) });
    }
    return { pages, complaints, elsewhere };
  },

  async axe() {
    const source = readFileSync(require.resolve(`${modules}/axe-core/axe.min.js`), 'utf8');
    const [violations, passes] = [[], new Set()];
    let count = 0;
    for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { viewport: { width: 360, height: 740 } }]) {
      const context = await open(options);
      const page = await context.newPage();
      for (const path of await kinds(page)) {
        await page.goto(base + path);
        await page.evaluate(source);
        const result = await page.evaluate(() => window.axe.run(document, {
          runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        }));
        for (const rule of result.violations) {
          violations.push({ path, options: JSON.stringify(options), rule: rule.id, help: rule.help,
            nodes: rule.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`) });
        }
        result.passes.forEach((rule) => passes.add(rule.id));
        count += 1;
      }
      await context.close();
    }
    return { violations, passes: [...passes], looks: count };
  },

  async keyboard() {
    const context = await open();
    const page = await context.newPage();
    await page.goto(`${base}/findings`);
    await page.keyboard.press('Tab');
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim().slice(0, 40) || document.activeElement.id);
    const first = await focused();
    await page.keyboard.press('Enter');
    const afterSkip = await page.evaluate(() => document.activeElement.id);
    await page.evaluate(() => document.activeElement.blur());
    await page.goto(`${base}/`);
    const [unseen, seen] = [[], new Set()];
    for (let step = 0; step < 120; step += 1) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const one = document.activeElement;
        if (one === document.body) return null;
        const style = getComputedStyle(one);
        const box = one.getBoundingClientRect();
        const visible = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.right > 0;
        return { name: `${one.tagName} ${one.textContent.trim().slice(0, 40)}`, visible };
      });
      if (!at) break;
      if (!at.visible) unseen.push(at.name);
      seen.add(at.name);
    }
    // A filter, chosen and sent without a mouse.
    await page.goto(`${base}/findings`);
    await page.locator('select[name=severity]').focus();
    await page.keyboard.type('high');
    await page.locator('input[name=q]').focus();
    await Promise.all([page.waitForURL(/severity=high/), page.keyboard.press('Enter')]);
    return { first, afterSkip, unseen, reached: seen.size, filtered: page.url() };
  },

  async plain() {
    const [plain, scripted] = [await open({ javaScriptEnabled: false }), await open()];
    const [one, other] = [await plain.newPage(), await scripted.newPage()];
    const different = [];
    for (const path of await kinds(other)) {
      const says = async (page) => { await page.goto(base + path); return page.locator('main').innerText(); };
      if (await says(one) !== await says(other)) different.push(path);
    }
    await one.goto(`${base}/services`);
    return { different, services: await one.locator('main tbody tr').count() };
  },

  async live() {
    const context = await open();
    const page = await context.newPage();
    const service = 'arn:aws:ecs:eu-west-1:123456789012:service/prod-a/search';
    await page.goto(`${base}/service?arn=${encodeURIComponent(service)}`);
    const said = [];
    const note = async () => said.push(await page.locator('#live [role=status]').innerText());
    const link = page.locator('main table a').first();
    await link.focus();
    const name = await link.innerText();
    await note();
    const written = (policy) => page.getByText(`written while it was looked at: ${policy}`);
    await ask('first');
    await written('first').waitFor();
    const focusKept = await page.evaluate((text) => document.activeElement.textContent === text, name);
    await page.locator('#live button').click();
    await note();
    await ask('second');
    // Longer than a look and the time for which what was read is fresh.
    await page.waitForTimeout(7000);
    const whilePaused = await written('second').count() > 0;
    await page.locator('#live button').click();
    await written('second').waitFor();
    await note();
    return { shown: true, whilePaused, afterwards: true, focusKept, said };
  },

  async pictures() {
    const folder = process.env.PLIMSOLL_PICTURES || 'docs/images';
    mkdirSync(folder, { recursive: true });
    const shots = [
      ['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }],
      ['narrow', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
    ];
    for (const [name, options] of shots) {
      const context = await open(options);
      const page = await context.newPage();
      const names = ['overview', 'services', 'findings', 'rollouts', 'waivers', 'events', 'rollout', 'service', 'policy', 'cluster'];
      for (const [index, path] of (await kinds(page)).entries()) {
        await page.goto(base + path);
        await page.waitForLoadState('networkidle');
        await page.screenshot({ path: `${folder}/${names[index]}-${name}.png`, fullPage: !process.env.PLIMSOLL_FIRST_SCREEN });
      }
      await context.close();
    }
    return {};
  },
};

try {
  console.log(JSON.stringify(await looks[what]()));
} finally {
  await browser.close();
  process.stdin.destroy();
}
