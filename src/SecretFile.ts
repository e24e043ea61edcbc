/** Files with a secret in them, such as a token: only their owner may read them, and they are small. */
import { stat } from "node:fs/promises"
import { notAFile } from "./FileKind.ts"
import { readSmallFile } from "./SmallFile.ts"

/** Whether others than the owner of a file may do anything with it, by its mode. Windows has no such modes. */
export const othersMayUse = (mode: number): boolean => process.platform !== "win32" && (mode & 0o077) !== 0

/** What is wrong with a file that others may read, and what to do. */
export const readableByOthers = (file: string): string => `others than its owner may read it; run chmod 600 ${file}`

/** Most bytes of a file with a token: a larger one holds none. */
const maxTokenFileBytes = 4_096

/** The text of a secret file. Throws when others may read it, or with what `tooLarge` says of more than `maxBytes`. */
export const readSecret = async (
  file: string,
  maxBytes: number,
  tooLarge: (bytes: number) => string
): Promise<string> => {
  const found = await stat(file)
  // Its mode is that of a folder, which the advice on a file's would close.
  if (found.isDirectory()) throw new Error(notAFile(found))
  const { mode, size } = found
  if (othersMayUse(mode)) throw new Error(readableByOthers(file))
  if (size > maxBytes) throw new Error(tooLarge(size))
  return readSmallFile(file, maxBytes, (bytes) => new Error(tooLarge(bytes)))
}

/** The text of a file with a token, without the blanks around it. */
export const readTokenFile = async (file: string): Promise<string> =>
  (await readSecret(file, maxTokenFileBytes, (bytes) => `it has ${bytes} bytes, which is no token`)).trim()
