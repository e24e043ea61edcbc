/** The certificates in a PEM text, in time that grows with its length: a file may be anything, and a node reads it. */

const begin = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----/g

/** The blocks of certificates, in their order. One that begins and does not end is left out, with all behind it. */
export const certificateBlocks = (text: string): ReadonlyArray<string> => {
  const blocks: Array<string> = []
  begin.lastIndex = 0
  for (let found = begin.exec(text); found !== null; found = begin.exec(text)) {
    const end = `-----END ${found[1]}-----`
    const at = text.indexOf(end, begin.lastIndex)
    if (at < 0) break
    begin.lastIndex = at + end.length
    blocks.push(text.slice(found.index, begin.lastIndex))
  }
  return blocks
}
