/** A key as a map's key: one character for each byte, so texts are equal when keys are. */
export const keyText = (key: Uint8Array): string =>
  (key instanceof Buffer ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength)).toString("latin1")
