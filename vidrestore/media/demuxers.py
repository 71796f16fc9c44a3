"""The demuxers that may open a file: containers and raw streams that hold their video themselves.

FFmpeg detects by content what a file is, whatever its name says. Left to itself it takes a text that names other files
for a video: concat scripts, HLS, DASH and IMF playlists, SDP, VobSub indices, numbered images (image2), and Magic
Lantern's continuation files. Anyone who can place a file in an archive could then have any file of the host restored
and published, or make FFmpeg read a playlist that names itself for ever. An allow-list, because a later FFmpeg brings
new ones.

References *inside* the containers of the list are not followed: FFmpeg's `enable_drefs` of MOV/MP4 is off by default,
the linked segments of Matroska and the external essence of MXF are not implemented.
"""

from typing import Final

_CONTAINERS = (
    "3dostr,4xm,apng,asf,asf_o,avi,bink,cdxl,cine,dv,dxa,ea,film_cpk,filmstrip,flic,flv,gif,gxf,idcin,ipmovie,ivf,ivr,"
    "jpegxl_anim,kux,live_flv,lxf,matroska,mm,mods,moflex,mov,mpeg,mpegts,mpegtsraw,mtv,mv,mxf,mxg,nsv,nut,nuv,ogg,"
    "pmp,pva,r3d,rl2,rm,roq,rpl,ser,siff,smjpeg,smk,swf,thp,ty,usm,vividas,vivo,vmd,webm,wsvqa,wtv,xmv,yuv4mpegpipe"
)
_RAW_VIDEO = (
    "apv,av1,avs2,avs3,cavsvideo,dirac,dnxhd,evc,h261,h263,h264,hevc,ingenient,ipu,m4v,mjpeg,mjpeg_2000,mpegvideo,"
    "mpjpeg,obu,simbiosis_imx,vc1,vc1test,vvc"
)
_SURVEILLANCE = "dhav,hxvs,ifv,iv8,lmlm4,luodat,nc,psxstr"
_STILL_PICTURES = (
    "bmp_pipe,dpx_pipe,exr_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,pam_pipe,pbm_pipe,pcx_pipe,"
    "pfm_pipe,pgm_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe"
)
"""Demuxers of one image each: the `_pipe` demuxers never look at the name, as image2 does."""
_AUDIO = (
    "aac,ac3,ac4,aiff,amr,ape,au,caf,dsf,dts,dtshd,eac3,flac,loas,mlp,mp3,mpc,mpc8,oma,tak,truehd,tta,voc,w64,wav,wv,"
    "xwma"
)
"""Demuxers of audio: never restored, but "is it an audio file?" says more than "not a video"."""

ALLOWED_DEMUXERS: Final = f"{_CONTAINERS},{_RAW_VIDEO},{_SURVEILLANCE},{_STILL_PICTURES},{_AUDIO}"
"""FFmpeg's names, separated by commas. `mov` stands for all of its family, `matroska` for WebM too."""
FILE_OPTIONS: Final = {"format_whitelist": ALLOWED_DEMUXERS, "protocol_whitelist": "file"}
"""Options of `av.open` for a local file. FFmpeg hands them on to whatever a demuxer itself opens."""

_PLAYLISTS = {
    "ffconcat": "an FFmpeg concat script",
    "#EXTM3U": "an HLS or M3U playlist",
    "[playlist]": "a PLS playlist",
    "[Reference]": "an ASF reference file",
    "<asx": "an ASX playlist",
    "<smil": "a SMIL presentation",
    "RTSPtext": "an RTSP reference file",
    "rtsp://": "a RealMedia reference file",
    "v=0": "an SDP session description",
    "# VobSub index file": "a VobSub index",
}
_XML_PLAYLISTS = {
    "<MPD": "a DASH manifest",
    "<SmoothStreamingMedia": "a Smooth Streaming manifest",
    "CompositionPlaylist": "an IMF composition playlist",
    "<playlist": "an XSPF playlist",
    "<asx": "an ASX playlist",
    "<smil": "a SMIL presentation",
}


def kind_of_playlist(start: bytes) -> str | None:
    """Name the kind of a file that only lists other files, by its first few kilobytes; None if it is not recognised."""
    text = start.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    kind = next((kind for begin, kind in _PLAYLISTS.items() if text[: len(begin)].lower() == begin.lower()), None)
    if kind is None and text.startswith("<"):
        kind = next((kind for tag, kind in _XML_PLAYLISTS.items() if tag.lower() in text.lower()), None)
    return kind
