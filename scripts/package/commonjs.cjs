const quarryfs = require('quarryfs');
const aio = require('quarryfs/aio');
const alloc = require('quarryfs/alloc');
const lab = require('quarryfs/lab');
const { version } = require('quarryfs/package.json');
const { use } = require('./use.mjs');

const [folder, addon] = process.argv.slice(2);
use({ quarryfs, aio, alloc, lab }, folder, addon === 'addon' && version !== undefined).then(console.log);
