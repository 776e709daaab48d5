/** First steps: `node first.js IMAGE` makes a volume in a file, and works in it. */
import { check, format, openVolume } from 'quarryfs';

const image = process.argv[2];
await format(image, { size: 64 * 2 ** 20, label: 'first' });

const volume = await openVolume(image);
await volume.mkdir('/a/b', { recursive: true });
await volume.writeFile('/a/hello.txt', 'hello, volume\n');
await volume.symlink('hello.txt', '/a/link');

// All of it is as fs.promises has it: handles, streams, errors.
const handle = await volume.open('/a/hello.txt', 'r+');
await handle.write('HELLO', 0);
await handle.sync();
await handle.close();
for await (const line of (await volume.open('/a/link')).readLines()) console.log(line);

for (const entry of await volume.readdir('/', { withFileTypes: true, recursive: true }))
  console.log(entry.isDirectory() ? 'directory' : 'file', `${entry.parentPath} ${entry.name}`);

try {
  await volume.readFile('/nothing');
} catch (error) {
  console.log(error.message);
}

await volume.close();
console.log((await check(image)).clean ? 'sound' : 'damaged');
