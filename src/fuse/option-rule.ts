/** How an option of `-o` is written, and what it does: the rows of the tables of options. */
import { MountOptionError } from './mount-option-error.ts';

/** @typeParam Options what it changes. */
export interface OptionRule<Options> {
  /** 'none': `name`; 'needed': `name=value`; 'either'. */
  readonly value: 'none' | 'needed' | 'either';
  apply(options: Options, value: string): void;
}

/** @typeParam Options what the options of the table change. */
export type OptionRules<Options> = Readonly<Record<string, OptionRule<Options>>>;

/** Accepted, and does nothing: what it asks for is so anyway, or the business of others. */
export const ignored: OptionRule<unknown> = { value: 'either', apply: () => {} };

export function takes<Options>(apply: (options: Options, value: string) => void): OptionRule<Options> {
  return { value: 'needed', apply };
}

/** `name=value` that asks for what is so anyway, where each other value is refused for a reason. */
export function isAlways(
  accepted: readonly string[],
  refusal: (value: string) => string,
): OptionRule<unknown> {
  return {
    value: 'either',
    apply: (_, value) => {
      if (!accepted.includes(value)) throw new MountOptionError(refusal(value));
    },
  };
}

/** An option without a value. */
export function turns<Options>(apply: (options: Options) => void): OptionRule<Options> {
  return { value: 'none', apply };
}

export function refuses(advice: string): OptionRule<unknown> {
  return {
    value: 'either',
    apply: () => {
      throw new MountOptionError(advice);
    },
  };
}
