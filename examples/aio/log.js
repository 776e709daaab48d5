/** A small log that survives power loss: `node log.js FILE TEXT…` appends each text as a record, and prints all records. */
import { Buffers, openFile } from 'quarryfs/aio';

const [path, ...texts] = process.argv.slice(2);

class Log {
  #file;
  #sync;

  constructor(file) {
    this.#file = file;
  }

  /** Resolves when the record is on disk. Records that are appended in one turn share one sync. */
  async append(text) {
    const body = Buffer.from(text);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(body.length);
    const appended = this.#file.append(Buffers.of(head, body));
    // A sync covers what was submitted before it, so it need not wait for the append.
    this.#sync ??= Promise.resolve().then(() => {
      this.#sync = undefined;
      return this.#file.datasync();
    });
    await Promise.all([appended, this.#sync]);
  }

  async *records() {
    let rest = Buffer.alloc(0);
    for await (const chunk of this.#file) {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
        const end = 4 + rest.readUInt32LE();
        yield rest.toString('utf8', 4, end);
        rest = rest.subarray(end);
      }
    }
  }
}

const file = await openFile(path, { flags: 'a+', lock: 'exclusive' });
const log = new Log(file);
await Promise.all(texts.map((text) => log.append(text)));
for await (const record of log.records()) console.log(record);
await file.close();
