/** The certificates in a PEM text, in time that grows with its length: a file may be anything, and a node reads it. */
import { Result } from "effect"
import { X509Certificate } from "node:crypto"
import { errorText } from "../../ErrorText.ts"

/** Most certificates of one text: more is a bundle for the web, and none for a cluster. */
export const maxCertificates = 32

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

/** The certificates of a PEM text, in their order. Fails, with the reason, when there is none or one cannot be read. */
export const certificatesIn = (text: string): Result.Result<ReadonlyArray<X509Certificate>, string> => {
  const blocks = certificateBlocks(text)
  if (blocks.length === 0) {
    return Result.fail(
      /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
        ? "it holds a private key and no certificate"
        : "it holds no certificate in PEM form"
    )
  }
  if (blocks.length > maxCertificates) {
    return Result.fail(`it holds ${blocks.length} certificates, over ${maxCertificates}`)
  }
  const found: Array<X509Certificate> = []
  for (const [i, pem] of blocks.entries()) {
    try {
      found.push(new X509Certificate(pem))
    } catch (error) {
      return Result.fail(`certificate ${i + 1} of ${blocks.length} cannot be read: ${errorText(error)}`)
    }
  }
  return Result.succeed(found)
}
