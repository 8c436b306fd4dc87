const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** RFC 4648 section 4, with padding. */
export function encodeBase64(data: Uint8Array): string {
  let text = '';
  for (let index = 0; index < data.length; index += 3) {
    const a = data[index] ?? 0;
    const b = data[index + 1];
    const c = data[index + 2];
    text += alphabet.charAt(a >> 2) + alphabet.charAt(((a & 3) << 4) | ((b ?? 0) >> 4));
    text += b === undefined ? '=' : alphabet.charAt(((b & 15) << 2) | ((c ?? 0) >> 6));
    text += c === undefined ? '=' : alphabet.charAt(c & 63);
  }
  return text;
}

/** Strict RFC 4648 section 4; null for anything that is not base64, also when unused bits are set (section 3.5). */
export function decodeBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const data = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let bitCount = 0;
  let position = 0;
  for (const character of text.slice(0, text.length - padding)) {
    bits = ((bits << 6) | alphabet.indexOf(character)) & 0xff_ffff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    data[position] = (bits >> bitCount) & 0xff;
    position += 1;
  }
  return (bits & ((1 << bitCount) - 1)) === 0 ? data : null;
}
