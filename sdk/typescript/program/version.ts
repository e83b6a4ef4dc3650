/** The task protocol that this SDK speaks. */
export const taskProtocol = 1;
export const sdkVersion = "0.1.0";
export const sdkName = `typescript/${sdkVersion}`;
