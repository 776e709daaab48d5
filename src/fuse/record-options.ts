/** The options of a mount that is recorded from its beginning on. */
import { type OptionRules, takes, turns } from './option-rule.ts';

export interface RecordOptions {
  /** The file to record into; undefined where nothing is recorded. */
  record: string | undefined;
  /** Names go into it as hashes under a key that nobody knows. */
  recordHashNames: boolean;
  /** A record that is there already may be written over. */
  recordOverwrite: boolean;
}

export const recordRules: OptionRules<RecordOptions> = {
  record: takes((options, value) => {
    options.record = value;
  }),
  'record-hash-names': turns((options) => {
    options.recordHashNames = true;
  }),
  'record-overwrite': turns((options) => {
    options.recordOverwrite = true;
  }),
};
