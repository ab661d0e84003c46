"""The student's side of ICT Labs: the only thing of ours inside lab images."""
