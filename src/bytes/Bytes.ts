/** Byte strings as keys: their order, and a text that stands for one in a map. */

/** The order of byte strings: by their first byte that differs, and a beginning before what it begins. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  const length = Math.min(a.byteLength, b.byteLength)
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.byteLength - b.byteLength
}

/** Most bytes that become text in one call, which takes each as an argument. */
const maxArguments = 4_096

const charactersOf = (bytes: Uint8Array): string =>
  String.fromCharCode.apply(null, bytes as ArrayLike<number> as Array<number>)

/** One character for each byte, so that texts are equal, and compare and sort, as the bytes do. */
export const byteText = (bytes: Uint8Array): string => {
  if (bytes.byteLength <= maxArguments) return charactersOf(bytes)
  let text = ""
  for (let at = 0; at < bytes.byteLength; at += maxArguments) {
    text += charactersOf(bytes.subarray(at, at + maxArguments))
  }
  return text
}
