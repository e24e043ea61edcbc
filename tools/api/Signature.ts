/** How a declaration is written down for its user: without what it does, with what it takes and gives. */
import type { Declaration, Syntax } from "./Modules.ts"
import { docBefore } from "./Modules.ts"

const field = (node: Syntax | undefined, name: string): Syntax | undefined =>
  (node?.[name] as Syntax | null | undefined) ?? undefined
const fields = (node: Syntax | undefined, name: string): ReadonlyArray<Syntax> =>
  (node?.[name] as ReadonlyArray<Syntax> | undefined) ?? []

export interface Member {
  readonly name: string
  readonly signature: string
  readonly doc: string
}

/** Lines of code, moved to the left as far as their indentation allows. */
const outdented = (code: string): string => {
  const [first = "", ...rest] = code.split("\n")
  const indents = rest.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length)
  const least = indents.length === 0 ? 0 : Math.min(...indents)
  return [first, ...rest.map((line) => line.slice(least))].join("\n").trimEnd()
}

const slice = (text: string, from: number, to: number): string => text.slice(from, to)

const annotation = (text: string, node: Syntax | undefined): string =>
  node === undefined ? "" : slice(text, node.start, node.end)

/** What a function takes and gives, as a type. */
const functionType = (text: string, node: Syntax): string => {
  const given = fields(node, "params")
  const typeParameters = annotation(text, field(node, "typeParameters"))
  const parameters = given.map(({ end, start }) => slice(text, start, end)).join(", ")
  const returns = annotation(text, field(node, "returnType")).replace(/^:\s*/, "")
  return `${typeParameters}(${parameters})${returns === "" ? "" : ` => ${returns}`}`
}

const isFunction = ({ type }: Syntax): boolean => type === "ArrowFunctionExpression" || type === "FunctionExpression"

/** The longest value that is written out. */
const longestValue = 60

/** The function that a call of a function of this module makes: `figure("version")` where `figure` is curried. */
const madeBy = (body: ReadonlyArray<Syntax>, call: Syntax): Syntax | undefined => {
  const name = field(call, "callee")?.["name"]
  const maker = body.flatMap((node) => fields(node, "declarations")).find((one) => field(one, "id")?.["name"] === name)
  const made = field(field(maker, "init"), "body")
  return made !== undefined && isFunction(made) ? made : undefined
}

/** The value of a constant or of a field, as far as a reader needs it. */
const valueType = (text: string, node: Syntax | undefined, body: ReadonlyArray<Syntax> = []): string => {
  if (node === undefined) return ""
  if (isFunction(node)) return `: ${functionType(text, node)}`
  const made = node.type === "CallExpression" ? madeBy(body, node) : undefined
  if (made !== undefined) return `: ${functionType(text, made)}`
  const value = slice(text, node.start, node.end)
  return node.type === "Literal" || (value.length <= longestValue && !value.includes("=>")) ? ` = ${value}` : ""
}

/** What a constant is, when it is an object of functions: `Compare`, `Op`. */
const objectOf = (node: Syntax): Syntax | undefined => {
  const init = field(fields(node, "declarations")[0], "init")
  const inner = init?.type === "TSAsExpression" ? field(init, "expression") : init
  return inner?.type === "ObjectExpression" ? inner : undefined
}

const keyOf = (text: string, node: Syntax): string => {
  const key = field(node, "key")
  return key === undefined ? "" : slice(text, key.start, key.end)
}

/** The type literal that a service's class hands to `Context.Service`, with its methods. */
const serviceType = (node: Syntax): Syntax | undefined => {
  let call = field(node, "superClass")
  while (call?.type === "CallExpression") {
    const literal = fields(field(call, "typeArguments"), "params").find(({ type }) => type === "TSTypeLiteral")
    if (literal !== undefined) return literal
    call = field(call, "callee")
  }
  return undefined
}

const superclass = ({ node, text }: Declaration): string => annotation(text, field(node, "superClass"))

export type Kind = "Services" | "Layers" | "Classes" | "Errors" | "Functions and values" | "Types"

export const kindOf = (declaration: Declaration): Kind => {
  const { name, node } = declaration
  if (node.type === "TSInterfaceDeclaration" || node.type === "TSTypeAliasDeclaration") return "Types"
  if (node.type === "ClassDeclaration") {
    const parent = superclass(declaration)
    if (parent.startsWith("Context.Service")) return "Services"
    return /TaggedError/.test(parent) ? "Errors" : "Classes"
  }
  return name.startsWith("layer") ? "Layers" : "Functions and values"
}

/** The fields that the schema of a tagged error has, as they are written. */
const errorFields = (text: string, node: Syntax): string => {
  const parent = field(node, "superClass")
  if (parent === undefined) return ""
  const object = fields(parent, "arguments").find(({ type }) => type === "ObjectExpression")
  const type = fields(field(parent, "typeArguments"), "params").find((one) => one.type === "TSTypeLiteral")
  const inner = object ?? type
  return inner === undefined ? " {}" : ` ${slice(text, inner.start, inner.end)}`
}

/** The code block of a declaration. */
export const signatureOf = (declaration: Declaration): string => {
  const { name, node, text } = declaration
  switch (node.type) {
    case "TSInterfaceDeclaration":
    case "TSTypeAliasDeclaration":
      return outdented(slice(text, node.start, node.end))
    case "ClassDeclaration": {
      const kind = kindOf(declaration)
      if (kind === "Errors") return outdented(`class ${name}${errorFields(text, node)}`)
      return kind === "Services" ? "" : `class ${name}${annotation(text, field(node, "typeParameters"))}`
    }
    case "FunctionDeclaration":
      return outdented(`function ${name}${functionType(text, node)}`)
    default: {
      const one = fields(node, "declarations").find((each) => field(each, "id")?.["name"] !== undefined)
      const typed = annotation(text, field(field(one, "id"), "typeAnnotation"))
      const type = typed === "" ? valueType(text, field(one, "init")) : typed
      return outdented(`const ${name}${type}`)
    }
  }
}

const isHidden = (text: string, member: Syntax): boolean =>
  member["accessibility"] === "private" || keyOf(text, member).startsWith("#") || member["override"] === true

/** A method or field of a class. */
const classMember = (text: string, member: Syntax): ReadonlyArray<Member> => {
  const name = keyOf(text, member)
  const value = field(member, "value")
  const doc = docBefore(text, member.start)
  const isStatic = member["static"] === true ? "static " : ""
  if (member.type === "MethodDefinition" && value !== undefined) {
    if (name === "toString") return []
    const get = member["kind"] === "get"
    const type = get ? annotation(text, field(value, "returnType")) : functionType(text, value)
    const shown = name === "constructor" ? "new" : name
    return [{ name: shown, doc, signature: outdented(`${isStatic}${shown}${type}`) }]
  }
  const typed = annotation(text, field(member, "typeAnnotation"))
  const type = typed === "" ? valueType(text, value) : typed
  return [{ name, doc, signature: outdented(`${isStatic}${name}${type}`) }]
}

/** The parts of a declaration that have a heading each: methods of a service or a class, functions of an object. */
export const membersOf = (declaration: Declaration): ReadonlyArray<Member> => {
  const { body, node, text } = declaration
  if (node.type === "ClassDeclaration" && kindOf(declaration) !== "Errors") {
    const service = serviceType(node)
    const methods = fields(service, "members").map((member) => ({
      name: keyOf(text, member),
      doc: docBefore(text, member.start),
      signature: outdented(slice(text, member.start, member.end).replace(/^readonly /, ""))
    }))
    const own = fields(field(node, "body"), "body").filter((member) => !isHidden(text, member))
    return [...methods, ...own.flatMap((member) => classMember(text, member))]
  }
  const object = objectOf(node)
  return fields(object, "properties").map((property) => ({
    name: keyOf(text, property),
    doc: docBefore(text, property.start),
    signature: outdented(`${keyOf(text, property)}${valueType(text, field(property, "value"), body)}`)
  }))
}
