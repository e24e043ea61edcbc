/** What errors say, for messages and log lines. */
import { errorCode } from "./ErrorCode.ts"

/** What an error says. Anything may be thrown, so anything has a text. */
export const errorText = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** What the system's codes mean where a file or a folder is to be read. */
const meanings: Readonly<Record<string, string>> = {
  ENOENT: "there is nothing of that name",
  EACCES: "this process may not read it",
  EPERM: "this process may not read it",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "a name in it is too long for the file system",
  EIO: "its disk has an error"
}

/** Why a file or a folder cannot be read, with the system's code. The system's own text repeats the path. */
export const unreadText = (error: unknown): string => {
  const code = errorCode(error)
  const meaning = code === undefined ? undefined : meanings[code]
  return meaning === undefined ? errorText(error) : `${meaning} (${code})`
}

/** What they mean where one is to be written or made. */
const refusals: Readonly<Record<string, string>> = {
  ...meanings,
  ENOENT: "its folder does not exist",
  EACCES: "this process may not write there",
  EPERM: "this process may not write there",
  EISDIR: "it is a folder",
  EROFS: "its file system is read-only",
  ENOSPC: "its file system is full",
  EDQUOT: "the quota is used up"
}

/** Why a file or a folder cannot be written. The system's own text has the names of temporary files as well. */
export const unwrittenText = (error: unknown): string => {
  const code = errorCode(error)
  const meaning = code === undefined ? undefined : refusals[code]
  return meaning === undefined ? errorText(error) : `${meaning} (${code})`
}

const advices: Readonly<Record<string, string>> = {
  ENOENT: "name one that is there",
  ENOTDIR: "name one that is there",
  EISDIR: "name a file in it"
}

/** What helps then. */
export const unreadAdvice = (error: unknown): string =>
  advices[errorCode(error) ?? ""] ?? "name one that this process may read"
