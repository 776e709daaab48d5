#include "errors.h"

#include <uv.h>

#include <cmath>
#include <cstring>

namespace quarry {

namespace {

// libuv names only the errors that it expects, and ENOTBLK or EUCLEAN are not among them.
const char* CodeOf(int error) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  const char* name = strerrorname_np(error);
  if (name) return name;
#endif
  return uv_err_name(-error);
}

bool IsHigh(char16_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool IsLow(char16_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

void AppendUtf8(uint32_t code, std::string* bytes) {
  if (code < 0x80) {
    *bytes += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr uint8_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  *bytes += static_cast<char>(kLead[more] | (code >> (6 * more)));
  for (int part = more - 1; part >= 0; part--) *bytes += static_cast<char>(0x80 | ((code >> (6 * part)) & 0x3f));
}

// The character at `*at`, which is moved to its last unit. A lone surrogate from U+DC80 on is a
// byte that was not UTF-8 (path-bytes.ts); others are replaced.
void AppendCharacter(const std::u16string& text, size_t* at, std::string* bytes) {
  const char16_t unit = text[*at];
  if (IsHigh(unit) && *at + 1 < text.size() && IsLow(text[*at + 1])) {
    *at += 1;
    AppendUtf8(0x10000 + ((uint32_t{unit} - 0xd800) << 10) + (uint32_t{text[*at]} - 0xdc00), bytes);
  } else if (unit >= 0xdc80 && unit <= 0xdcff) {
    *bytes += static_cast<char>(unit - 0xdc00);
  } else {
    AppendUtf8(IsHigh(unit) || IsLow(unit) ? 0xfffd : unit, bytes);
  }
}

}  // namespace

void ThrowErrno(Napi::Env env, int error, const char* syscall, const std::string& path, const char* detail) {
  const char* code = CodeOf(error);
  std::string message = std::string(code) + ": " + (detail ? detail : strerror(error)) + ", " + syscall;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error thrown = Napi::Error::New(env, message);
  thrown.Set("code", Napi::String::New(env, code));
  thrown.Set("errno", Napi::Number::New(env, -error));
  thrown.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty()) thrown.Set("path", Napi::String::New(env, path));
  throw thrown;
}

int64_t IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t low,
                        int64_t high) {
  double value = std::nan("");
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok || !(value >= static_cast<double>(low)) ||
      !(value <= static_cast<double>(high)) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " must be an integer from " + std::to_string(low) +
                                                " to " + std::to_string(high));
  }
  return static_cast<int64_t>(value);
}

std::string TextArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return TextOf(info[index], name);
}

std::string TextOf(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a string");
  const std::u16string text = value.As<Napi::String>().Utf16Value();
  // A system call would take what stands before it.
  if (text.find(u'\0') != std::u16string::npos) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must not contain a null character");
  }
  std::string bytes;
  for (size_t at = 0; at < text.size(); at++) AppendCharacter(text, &at, &bytes);
  return bytes;
}

}  // namespace quarry
