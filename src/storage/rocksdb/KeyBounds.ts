/**
 * Bounds of a range of keys as RocksDB's binding takes them: it takes bytes for options, and compacts the whole family
 * (`findings/rocksdb-native-compact-range-bytes.sh`). So each byte is a character; other keys stay bytes.
 */
export { textOf as bound } from "./RowText.ts"

/** How the binding turns a {@link bound} into bytes again. */
export const boundEncoding = {
  preencode: (state: { end: number }, text: string) => {
    state.end += text.length
  },
  encode: (state: { start: number; readonly buffer: Buffer }, text: string) => {
    state.start += state.buffer.write(text, state.start, "latin1")
  }
}
