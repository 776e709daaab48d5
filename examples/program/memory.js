/** A volume in memory: `node memory.js IMAGE` fills it, and writes it to a file as an image. */
import { writeFile } from 'node:fs/promises';
import { format, openVolume } from 'quarryfs';

const bytes = new Uint8Array(16 * 2 ** 20);
await format(bytes);
const volume = await openVolume(bytes, { uid: 0, gid: 0, umask: 0o022 });
await volume.mkdir('/etc');
await volume.writeFile('/etc/motd', 'made in memory\n', { mode: 0o644 });
await volume.setxattr('/etc/motd', 'user.origin', 'memory.js');
await volume.close();

// What is in the array is the image: `quarry mount` takes it, and so does another openVolume.
await writeFile(process.argv[2], bytes);
const copy = await openVolume(process.argv[2], { readOnly: true });
console.log(await copy.readFile('/etc/motd', 'utf8'), `${await copy.getxattr('/etc/motd', 'user.origin')}`);
await copy.close();
