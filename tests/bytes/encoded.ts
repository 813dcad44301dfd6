/** A text as editors and spreadsheets save it. */
export function encodedTexts(text: string): [name: string, bytes: Uint8Array][] {
  return [
    ["UTF-8", new TextEncoder().encode(text)],
    ["UTF-8 with its mark", new TextEncoder().encode("\uFEFF" + text)],
    ["UTF-16LE", encodeUtf16(text, true)],
    ["UTF-16BE", encodeUtf16(text, false)],
    ["UTF-16LE with its mark", encodeUtf16("\uFEFF" + text, true)],
    ["UTF-16BE with its mark", encodeUtf16("\uFEFF" + text, false)],
  ];
}

function encodeUtf16(text: string, isLittle: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * text.length));
  for (let at = 0; at < text.length; at++) {
    view.setUint16(2 * at, text.charCodeAt(at), isLittle);
  }
  return new Uint8Array(view.buffer);
}
