import * as quarryfs from 'quarryfs';
import * as aio from 'quarryfs/aio';
import * as alloc from 'quarryfs/alloc';
import * as lab from 'quarryfs/lab';
import { use } from './use.mjs';

const [folder, addon] = process.argv.slice(2);
console.log(await use({ quarryfs, aio, alloc, lab }, folder, addon === 'addon'));
