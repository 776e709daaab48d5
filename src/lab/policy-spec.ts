/**
 * A policy as the laboratory is given it: a name or a module, and options behind a question mark:
 * `ffs-groups?realloc=on&cluster=8`.
 */
import type { AllocatorDefinition, AllocatorOptions } from '../alloc/allocator.ts';
import { AllocatorLoadError, checkAllocatorOptions, loadAllocator } from '../alloc/registry.ts';

export interface LoadedPolicy {
  readonly definition: AllocatorDefinition;
  readonly options: AllocatorOptions;
}

/** @throws AllocatorLoadError if what is behind the question mark are no options */
export function policyParts(spec: string): { readonly name: string; readonly options: AllocatorOptions } {
  const mark = spec.indexOf('?');
  if (mark < 0) return { name: spec, options: {} };
  return { name: spec.slice(0, mark), options: optionsOf(spec, spec.slice(mark + 1)) };
}

/** @throws AllocatorLoadError */
export async function loadPolicy(spec: string): Promise<LoadedPolicy> {
  const { name, options } = policyParts(spec);
  const definition = await loadAllocator(name);
  checkAllocatorOptions(definition, options);
  return { definition, options };
}

function optionsOf(spec: string, text: string): AllocatorOptions {
  const pairs = text.split('&').map((part) => {
    const equals = part.indexOf('=');
    if (equals < 1) throw new AllocatorLoadError(`policy ${spec}: '${part}' is not of the form key=value`);
    return [part.slice(0, equals), part.slice(equals + 1)] as const;
  });
  return Object.fromEntries(pairs);
}
