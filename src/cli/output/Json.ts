/** JSON that people and programs write for the command line. */

/**
 * The first name that an object of `text`, which is JSON, has twice; JSON by itself keeps the last of them, so that
 * the values of the others would be lost without a word.
 */
export const repeatedName = (text: string): string | undefined => {
  /** The names of each object that is open; `undefined` for a list. */
  const open: Array<Set<string> | undefined> = []
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === "{") open.push(new Set())
    else if (token === "[") open.push(undefined)
    else if (token === "}" || token === "]") open.pop()
    else if (colon !== undefined) {
      const name = String(JSON.parse(token.slice(0, -colon.length)))
      const names = open[open.length - 1]
      if (names?.has(name) === true) return name
      names?.add(name)
    }
  }
  return undefined
}
