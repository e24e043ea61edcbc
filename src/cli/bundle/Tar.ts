/** A tar archive of small files in memory, as POSIX.1-1988 (ustar) has it; every tar reads it. */

export interface TarFile {
  /** At most 100 bytes of ASCII, with `/` between folders. */
  readonly name: string
  readonly content: Uint8Array
  readonly modifiedMs: number
}

const blockBytes = 512

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`

const headerOf = ({ content, modifiedMs, name }: TarFile): Buffer => {
  if (!/^[\x21-\x7e]{1,100}$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name for a file in an archive`)
  const header = Buffer.alloc(blockBytes)
  header.write(name, 0, "latin1")
  header.write(octal(0o600, 7), 100, "latin1")
  header.write(octal(0, 7), 108, "latin1")
  header.write(octal(0, 7), 116, "latin1")
  header.write(octal(content.byteLength, 11), 124, "latin1")
  header.write(octal(Math.floor(modifiedMs / 1_000), 11), 136, "latin1")
  // While the checksum is computed its own field counts as blanks.
  header.write("        ", 148, "latin1")
  header.write("0", 156, "latin1")
  header.write("ustar\x0000", 257, "latin1")
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  return header
}

/** The archive; two empty blocks end it. */
export const tarOf = (files: ReadonlyArray<TarFile>): Uint8Array =>
  Buffer.concat([
    ...files.flatMap((file) => [
      headerOf(file),
      file.content,
      Buffer.alloc((blockBytes - file.content.byteLength % blockBytes) % blockBytes)
    ]),
    Buffer.alloc(2 * blockBytes)
  ])
