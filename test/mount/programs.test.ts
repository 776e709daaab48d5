/** Programs that people trust a disk with: git, sqlite, tar, rsync, a compiler. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import { describeMount, FULL, Volume } from './harness.ts';

/** Two writers and a reader on one WAL database; the reader must always see whole transactions. */
const WAL = `
import os, sqlite3, sys
rounds = int(sys.argv[1])
def connect():
    database = sqlite3.connect('wal.db', timeout=60, isolation_level=None)
    assert database.execute('pragma journal_mode=wal').fetchone() == ('wal',)
    database.execute('pragma synchronous=full')
    return database
connect().execute('create table pairs(writer int, round int, half int, filler blob)')
def write(writer):
    database = connect()
    for number in range(rounds):
        database.execute('begin immediate')
        for half in (0, 1):
            database.execute('insert into pairs values(?,?,?,?)', (writer, number, half, os.urandom(3000)))
        database.execute('commit')
def read():
    database = connect()
    for _ in range(rounds):
        assert database.execute('select count(*) from pairs').fetchone()[0] % 2 == 0
children = []
for action in (lambda: write(1), lambda: write(2), read):
    child = os.fork()
    if child == 0:
        try: action(); os._exit(0)
        except BaseException as error: print(repr(error), file=sys.stderr); os._exit(1)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
assert connect().execute('pragma integrity_check').fetchone() == ('ok',)
print(connect().execute('select count(*) from pairs').fetchone()[0])
`;

describeMount('programs', () => {
  let volume: Volume;
  let tree: string;
  beforeAll(async () => {
    volume = await Volume.make();
    tree = await volume.scratch.realTree();
  });
  afterAll(() => volume?.destroy());

  test.skipIf(isMissing('git'))('git clone, commit, gc, fsck', async ({ annotate }) => {
    const git = 'git -c user.name=t -c user.email=t@example.org -c safe.directory=*';
    await volume.shell(`
      ${git} init -q '${volume.scratch.file('origin')}' && cd '${volume.scratch.file('origin')}'
      for round in {1..20}; do
        mkdir -p folder-$round
        for file in {1..30}; do echo "$round $file $RANDOM" > folder-$round/$file; done
        seq $((round * 5000)) > growing
        ${git} add -A && ${git} commit -q -m "round $round"
      done`);
    await volume.shell(`
      ${git} clone -q --no-local '${volume.scratch.file('origin')}' clone && cd clone
      ${git} fsck --full --strict 2>&1 && test -z "$(${git} status --porcelain)"
      for round in {1..10}; do echo $RANDOM >> growing; ${git} commit -q -a -m "more $round"; done
      ${git} gc -q --aggressive --prune=now && ${git} fsck --full 2>&1
      ${git} clone -q . ../again && diff -r --exclude=.git . ../again`);
    await volume.remount();
    await annotate(
      `${(await volume.shell(`cd clone && ${git} fsck --full && ${git} log --oneline | wc -l`)).trim()} commits, fsck clean`,
    );
  });

  test('sqlite with a WAL database and three processes', async ({ annotate }) => {
    const rounds = FULL ? 2000 : 150;
    expect((await volume.python(WAL, [String(rounds)])).trim()).toBe(String(rounds * 4));
    await volume.remount();
    const check =
      "import sqlite3; print(*sqlite3.connect('wal.db').execute('pragma integrity_check').fetchone())";
    expect((await volume.python(check)).trim()).toBe('ok');
    await annotate(`${rounds * 2} transactions of two writers, integrity_check ok`);
  });

  test('tar there and back', async () => {
    await volume.shell(`
      tar -C '${tree}' --format=posix -cf '${volume.scratch.file('there.tar')}' .
      mkdir tar && tar -C tar -xpf '${volume.scratch.file('there.tar')}'
      tar -C tar --format=posix -cf back.tar .
      mkdir '${volume.scratch.file('back')}' && tar -C '${volume.scratch.file('back')}' -xpf back.tar
      diff -r --no-dereference '${tree}' '${volume.scratch.file('back')}'
      tar -C '${tree}' --compare -f back.tar`);
  });

  test.skipIf(isMissing('rsync'))('rsync finds nothing left to do', async () => {
    await volume.shell(`rsync -aH '${tree}/' rsynced/
      test -z "$(rsync -aHnic '${tree}/' rsynced/)"`);
  });

  test('a compiler writes, and what it wrote runs', async () => {
    await volume.shell(`
      printf '#include <stdio.h>\\nint main(void) { return puts("compiled here") < 0; }\\n' > hello.c
      \${CC:-cc} -o hello hello.c && test "$(./hello)" = 'compiled here'`);
  });

  test('the volume is sound', () => volume.unmountAndCheck());
});
