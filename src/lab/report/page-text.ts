/** The style and the script of the report's page. */
import { ALL_COLORS } from './palette.ts';

const variables = (theme: 'light' | 'dark') =>
  ALL_COLORS.map((color) => `--${color.name}:${color[theme]}`).join(';');

const LIGHT = `--page:#ffffff;--pale:#555555;--line:#d5d8dc;--shade:#f5f6f7;${variables('light')}`;
const DARK = `--page:#16191c;--pale:#a8adb3;--line:#3a4046;--shade:#1f2428;${variables('dark')}`;

export const PAGE_STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root{${DARK}}}
body{margin:0 auto;max-width:1000px;padding:24px;background:var(--page);color:var(--ink);font:15px/1.5 'DejaVu Sans',Verdana,Helvetica,sans-serif}
h1{font-size:26px;margin:0}h2{margin:40px 0 8px;border-bottom:1px solid var(--line)}h3{margin:24px 0 4px}
a{color:var(--blue)}p,figcaption{max-width:900px}figcaption,.pale{color:var(--pale);font-size:13px}
figure{margin:20px 0}figure svg{max-width:100%;height:auto}
.scroll{overflow-x:auto}pre{background:var(--shade);padding:8px;white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse;font-size:13px;margin:8px 0}th,td{border-bottom:1px solid var(--line);padding:3px 10px;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}caption{text-align:left;color:var(--pale)}
.maps{display:flex;flex-wrap:wrap;gap:16px}.maps div{width:288px}.maps canvas{width:288px;height:288px;image-rendering:pixelated;background:var(--map-free);print-color-adjust:exact;-webkit-print-color-adjust:exact}
.maps span{display:block;overflow-wrap:anywhere}
.slider{width:min(600px,90%)}
@media print{body{max-width:none;padding:0;font-size:11px}figure,tr,.maps div{break-inside:avoid}h2,h3{break-after:avoid}.slider{display:none}svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}}
`;

/**
 * Draws the maps and lets the slider choose which. The free blocks are the canvas' own background,
 * so that they follow the theme; the other colours are read when something is drawn.
 */
export const PAGE_SCRIPT = `
'use strict';
for (const box of document.querySelectorAll('.mapbox')) {
  const { places, frames, colors, strengths } = JSON.parse(box.querySelector('script').textContent);
  const slider = box.querySelector('input');
  const decoded = (text) => {
    const codes = [];
    for (const [, letter, count] of text.matchAll(/([A-Z])(\\d*)/g))
      for (let left = count === '' ? 1 : Number(count); left > 0; left--) codes.push(letter.charCodeAt(0) - 65);
    return codes;
  };
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const found = colors.map((name) => style.getPropertyValue('--' + name));
    for (const [number, { churns, maps }] of frames.entries()) {
      const at = Math.min(maps.length - 1, Number(slider.value));
      const canvas = box.querySelectorAll('canvas')[number];
      const context = canvas.getContext('2d');
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (const [cell, code] of decoded(maps[at]).entries()) {
        const kind = Math.floor(code / 4);
        if (kind === 0) continue;
        context.globalAlpha = strengths[code % 4];
        context.fillStyle = found[kind];
        context.fillRect(places[2 * cell] * 3, places[2 * cell + 1] * 3, 3, 3);
      }
      box.querySelectorAll('output')[number].textContent = churns[at].toFixed(2) + ' \\u00d7 the capacity written';
    }
  };
  slider.addEventListener('input', draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  addEventListener('beforeprint', draw);
  addEventListener('afterprint', draw);
  draw();
}
`;
