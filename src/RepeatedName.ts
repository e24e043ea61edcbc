/** JSON in which an object has a name twice. */

/** The place behind a string of valid JSON that begins at `start`. */
const endOfString = (text: string, start: number): number => {
  let end = text.indexOf("\"", start + 1)
  while (true) {
    let slash = end
    while (text[slash - 1] === "\\") slash--
    // An even number of backslashes are escaped backslashes: the quote ends the string.
    if ((end - slash) % 2 === 0) return end + 1
    end = text.indexOf("\"", end + 1)
  }
}

const isBlank = (text: string, at: number): boolean => " \n\r\t".includes(text[at] ?? "-")

/**
 * The first name that an object of `text` has twice. The text has been parsed as JSON, and no string in it is open.
 * JSON by itself keeps the last value of a name, so that the others would be lost without a word.
 *
 * It is written by hand because a regular expression runs out of stack on a string of a few megabytes.
 */
export const repeatedName = (text: string): string | undefined => {
  /** The names of each object that is open, made with its first one; `undefined` for a list. */
  const open: Array<{ names: Set<string> | undefined } | undefined> = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === "{") open.push({ names: undefined })
    else if (character === "[") open.push(undefined)
    else if (character === "}" || character === "]") open.pop()
    else if (character === "\"") {
      const end = endOfString(text, at)
      let next = end
      while (isBlank(text, next)) next++
      if (text[next] === ":") {
        const object = open.at(-1)
        const written = text.slice(at + 1, end - 1)
        const name = written.includes("\\") ? String(JSON.parse(`"${written}"`)) : written
        if (object?.names?.has(name) === true) return name
        if (object !== undefined) (object.names ??= new Set()).add(name)
      }
      at = next - 1
    }
  }
  return undefined
}
