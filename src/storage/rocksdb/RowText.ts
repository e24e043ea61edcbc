/** A key as text: one character for each byte, so that texts compare and sort as the bytes do. And back. */

/** What `byteText` of `bytes/Bytes.ts` does, in half of its time: every row that is read or written comes here. */
const { latin1Slice } = Buffer.prototype

export const textOf = (key: Uint8Array): string => latin1Slice.call(key as Buffer, 0, key.length)

export const keyOf = (text: string): Uint8Array => Buffer.from(text, "latin1")
