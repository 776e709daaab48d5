/** Text from elsewhere, made safe to show. */
import { expect, test } from 'vitest';
import { printable, printableJson } from '../../src/common/printable.ts';

test('what steers a terminal is a question mark, any other text as it is', () => {
  expect(printable('a\u001b[31mb\u009bc\u202ed\ne')).toBe('a?[31mb?c?d?e');
  expect(printable('grüß dich, 世界')).toBe('grüß dich, 世界');
});

test('as JSON it is spelled, and means the same', () => {
  const value = { name: 'a\u009b\u001b\u202e"\\\n', more: [1] };
  const text = printableJson(value);
  expect(JSON.parse(text)).toEqual(value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
});
