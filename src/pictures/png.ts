/**
 * SVG as PNG, by the renderer `@resvg/resvg-js`. It is an optional peer: who draws no PNG need not
 * have it.
 */
import { codeOf, rethrow } from '../common/thrown.ts';

/** What to install for pictures in PNG. */
export const RENDERER = '@resvg/resvg-js';

type Renderer = typeof import('@resvg/resvg-js');

/**
 * The picture as the bytes of a PNG file.
 * @param scale pixels for each of the SVG's
 * @param load loads the renderer
 * @returns undefined if the renderer is not installed
 */
export async function pngOfSvg(
  svg: string,
  scale = 1,
  load: () => Promise<Renderer> = () => import('@resvg/resvg-js').catch(rethrow),
): Promise<Uint8Array | undefined> {
  let renderer: Renderer;
  try {
    renderer = await load();
  } catch (thrown) {
    if (/MODULE_NOT_FOUND$/.test(codeOf(thrown))) return undefined;
    throw thrown;
  }
  const font = { loadSystemFonts: true, defaultFontFamily: 'DejaVu Sans' };
  return new renderer.Resvg(svg, { fitTo: { mode: 'zoom', value: scale }, font }).render().asPng();
}
