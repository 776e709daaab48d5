/** Serves the files of an image over HTTP, with Express: `node static-server.js IMAGE [PORT]` */
import { extname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import express from 'express';
import { openVolume } from 'quarryfs';

const [image, port = '8080'] = process.argv.slice(2);
const volume = await openVolume(image, { readOnly: true });
const app = express().disable('x-powered-by');

app.use(async (request, response, next) => {
  if (request.method !== 'GET' && request.method !== 'HEAD') return next();
  // '..' does not lead out of a volume, and links are followed inside of it only.
  let path = decodeURIComponent(request.path);
  let stats = await volume.stat(path);
  if (stats.isDirectory()) {
    path = `${path}/index.html`;
    stats = await volume.stat(path);
  }
  if (!stats.isFile()) return next();
  response.type(extname(path) || 'application/octet-stream');
  response.set({
    'Accept-Ranges': 'bytes',
    'Last-Modified': stats.mtime.toUTCString(),
    ETag: `"${stats.ino}-${stats.mtimeMs}-${stats.size}"`,
  });
  if (request.fresh) return response.status(304).end();
  const ranges = request.range(stats.size);
  if (ranges === -1) return response.status(416).set('Content-Range', `bytes */${stats.size}`).end();
  let { start, end } = { start: 0, end: stats.size - 1 };
  if (Array.isArray(ranges) && ranges.length === 1) {
    ({ start, end } = ranges[0]);
    response.status(206).set('Content-Range', `bytes ${start}-${end}/${stats.size}`);
  }
  response.set('Content-Length', `${end - start + 1}`);
  if (request.method === 'HEAD' || end < start) return response.end();
  await pipeline(volume.createReadStream(path, { start, end }), response);
});

// What the volume says, as HTTP says it. Express knows an error by its four parameters.
app.use((error, _request, response, next) => {
  if (response.headersSent) return next(error);
  const missing = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(error.code);
  response.sendStatus(missing ? 404 : error instanceof URIError ? 400 : 500);
});

const server = app.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(() => volume.close()));
}
