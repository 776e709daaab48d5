/** The site of the documents: scripts/docs.mjs lays them into `pages`, and runs VitePress on them. */
import { defineConfig } from 'vitepress';

const pages = (...entries) => entries.map(([text, link]) => ({ text, link: `/${link}` }));

// Serves from a file system as well as from the root of a host.
const base = process.env.QUARRY_SITE_BASE ?? '/';

export default defineConfig({
  title: 'Quarry',
  description: 'A POSIX filesystem in user space, with pluggable block allocators',
  srcDir: 'pages',
  outDir: 'dist',
  base,
  head: [['link', { rel: 'icon', href: `${base}icon.svg` }]],
  cleanUrls: false,
  lastUpdated: false,
  // The documents have no HTML, but words such as <target>.
  markdown: { html: false },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      {
        text: 'Guide',
        items: pages(
          ['Beginning', ''],
          ['Beside others', 'COMPARISON'],
          ['Mounting', 'MOUNTING'],
          ['Options of a mount', 'MOUNT'],
          ['Watching', 'WATCH'],
          ['Checking and repair', 'FSCK'],
          ['Copies of volumes', 'CLONE'],
          ['Fragmentation', 'FRAGMENTATION'],
          ['Errors', 'ERRORS'],
        ),
      },
      {
        text: 'Laboratory',
        items: pages(['Allocators compared', 'LAB'], ['Writing an allocator', 'ALLOCATORS']),
      },
      { text: 'In a program', items: pages(['Volumes', 'PROGRAM'], ['Asynchronous files', 'AIO']) },
      {
        text: 'API',
        items: pages(
          ['quarryfs', 'api/quarryfs'],
          ['quarryfs/aio', 'api/aio'],
          ['quarryfs/alloc', 'api/alloc'],
          ['quarryfs/lab', 'api/lab'],
        ),
      },
      {
        text: 'How it works',
        items: pages(['Design', 'DESIGN'], ['Format on disk', 'FORMAT'], ['Testing', 'TESTING']),
      },
    ],
  },
});
